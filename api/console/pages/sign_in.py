"""Signing in and out."""

from datetime import datetime

from litestar import Request, Response
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromQuery
from litestar.response import Template

from api.console.access import store
from api.console.access.invite import named
from api.console.access.model import Refused
from api.console.access.sign_in import Attempt
from api.console.access.sign_in import sign_in as enter
from api.console.declare import act, page
from api.console.doors import Doors
from api.console.forms import Form
from api.console.here import Here
from api.console.pages.answers import ours, see_other
from api.console.views import show

Asked = Request[None, None, State]


@page("/console/sign-in", open_to_all=True)
async def sign_in_page(here: NamedDependency[Here], next: FromQuery[str] = "") -> Template:  # noqa: A002 (what the query calls it)
    return show(here, "sign_in.html", email="", next=ours(next), refusal=None)


@act("/console/sign-in", open_to_all=True)
async def sign_in(
    request: Asked,
    here: NamedDependency[Here],
    form: NamedDependency[Form],
    doors: NamedDependency[Doors],
    now: NamedDependency[datetime],
) -> Response[bytes] | Template:
    name, headers = named(form.text("email")), dict(request.scope["headers"])
    attempt = Attempt(
        email=name,
        password=form.text("password"),
        address=request.client.host if request.client else "",
        device=doors.cookies.device(headers, name),
        cookie=doors.cookies.session_id(headers),
    )
    next_page = ours(form.text("next"))
    try:
        session_id = await enter(doors.pool, attempt, keyed=doors.keyed, hasher=doors.passwords, now=now)
    except Refused as refusal:
        answer = show(
            here,
            "sign_in.html",
            status=refusal.status,
            email=form.text("email"),
            next=next_page,
            refusal=refusal.sentence,
        )
        if refusal.retry_after is not None:
            answer.headers["Retry-After"] = str(refusal.retry_after)
        return answer
    return see_other(next_page, doors.cookies.session(session_id), doors.cookies.new_device(name))


@act("/console/sign-out")
async def sign_out(
    here: NamedDependency[Here],
    doors: NamedDependency[Doors],
    now: NamedDependency[datetime],
) -> Response[bytes]:
    assert here.session is not None, "only a signed-in admin comes here"
    await store.revoke_session(doors.pool, here.session.id_hash, now=now)
    return see_other("/console/sign-in", doors.cookies.no_session())


@act("/console/sign-out-everywhere")
async def sign_out_everywhere(
    here: NamedDependency[Here],
    doors: NamedDependency[Doors],
    now: NamedDependency[datetime],
) -> Response[bytes]:
    assert here.session is not None, "only a signed-in admin comes here"
    await store.revoke_sessions(doors.pool, here.session.admin_id, now=now)
    return see_other("/console/sign-in", doors.cookies.no_session())


ROUTES = [sign_in_page, sign_in, sign_out, sign_out_everywhere]
