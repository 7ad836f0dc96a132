"""The page behind a one-time link: a password, twice, and one is in."""

from datetime import datetime

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from api.console.access.accept import accept_invitation, open_invitation
from api.console.access.model import Refused
from api.console.access.passwords import LONGEST, SHORTEST
from api.console.declare import act, page
from api.console.doors import Doors
from api.console.forms import Form
from api.console.here import Here
from api.console.pages.answers import see_other
from api.console.views import show


@page("/console/invitation/{token}", open_to_all=True)
async def invitation_page(
    token: FromPath[str],
    here: NamedDependency[Here],
    doors: NamedDependency[Doors],
    now: NamedDependency[datetime],
) -> Template:
    invitation = await open_invitation(doors.pool, token, keyed=doors.keyed, now=now)
    return _form(here, invitation.email, refusal=None)


@act("/console/invitation/{token}", open_to_all=True)
async def accept(
    token: FromPath[str],
    here: NamedDependency[Here],
    form: NamedDependency[Form],
    doors: NamedDependency[Doors],
    now: NamedDependency[datetime],
) -> Response[bytes] | Template:
    invitation = await open_invitation(doors.pool, token, keyed=doors.keyed, now=now)
    try:
        session_id = await accept_invitation(
            doors.pool,
            token,
            form.text("password"),
            form.text("repeated"),
            keyed=doors.keyed,
            hasher=doors.passwords,
            now=now,
        )
    except Refused as refusal:
        return _form(here, invitation.email, refusal=refusal)
    return see_other(
        "/console", doors.cookies.session(session_id), doors.cookies.new_device(invitation.email)
    )


def _form(here: Here, email: str, *, refusal: Refused | None) -> Template:
    return show(
        here,
        "invitation.html",
        status=200 if refusal is None else refusal.status,
        email=email,
        shortest=SHORTEST,
        longest=LONGEST,
        refusal=None if refusal is None else refusal.sentence,
    )


ROUTES = [invitation_page, accept]
