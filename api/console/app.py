"""The console: an application of its own beside the API, on the same process and pool.

It has its own errors (pages, not problems), its own headers and its own way in; what it does, it does by the
same verbs as the API.
"""

from datetime import datetime
from typing import Any
from urllib.parse import quote

from litestar import Litestar, Request, Response
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import NotFoundException
from litestar.response import Template
from litestar.template.config import TemplateConfig
from litestar.types import ASGIApp, Receive, Scope, Send

from api import paging, problems
from api.access.admissions import Admissions
from api.access.key_text import Hasher
from api.console import forms, guard, links, views
from api.console.access.model import NO_SUCH_PAGE, Refused, SignedOut
from api.console.access.passwords import Passwords
from api.console.cookies import Cookies, TwoCookies
from api.console.doors import Doors
from api.console.forms import Form
from api.console.gate import Gate
from api.console.here import Here
from api.console.pages import ROUTES
from api.scalars import TYPE_DECODERS
from api.settings import Settings
from api.wake import Waker
from kernel.database import Pool, Tx


def create_console(settings: Settings, *, hasher: Hasher, waker: Waker, admissions: Admissions) -> Litestar:
    """It serves as soon as its `state.pool` is set."""
    keyed = links.keyed(settings)
    cookies, passwords = Cookies(settings.base_url, keyed), Passwords()

    def doors(scope: Scope) -> Doors:
        pool: Pool = scope["litestar_app"].state.pool
        return Doors(pool=pool, keyed=keyed, cookies=cookies, passwords=passwords)

    return Litestar(
        ROUTES,
        middleware=[
            Gate(
                keyed=keyed,
                cookies=cookies,
                waker=waker,
                admissions=admissions,
                own_host=forms.host_of(settings.base_url),
            )
        ],
        dependencies={
            "tx": Provide(_tx, sync_to_thread=False),
            "here": Provide(_here, sync_to_thread=False),
            "form": Provide(_form, sync_to_thread=False),
            "now": Provide(_now, sync_to_thread=False),
            "window": Provide(paging.window),
            "hasher": Provide(lambda: hasher, sync_to_thread=False),
            "doors": Provide(doors, sync_to_thread=False),
        },
        template_config=TemplateConfig(instance=views.engine(settings.base_url)),
        exception_handlers={SignedOut: _to_sign_in, Exception: _refuse},
        type_decoders=TYPE_DECODERS,
        openapi_config=None,
        logging_config=None,
    )


def beside(app: ASGIApp, console: ASGIApp) -> ASGIApp:
    """Everything under /console goes to the console."""

    async def both(scope: Scope, receive: Receive, send: Send) -> None:
        await (console if guard.is_console(scope) else app)(scope, receive, send)

    return both


def _to_sign_in(request: Request[Any, Any, State], _: SignedOut) -> Response[bytes]:
    """A page that was asked for is shown after signing in; what a form would have done is not done."""
    back = f"?next={quote(request.scope['path'], safe='/')}" if request.method == "GET" else ""
    to = f"/console/sign-in{back}"
    if "hx-request" in request.headers:
        return Response(b"", headers={"HX-Redirect": to})
    return Response(b"", status_code=303, headers={"Location": to})


def _refuse(request: Request[Any, Any, State], error: Exception) -> Template:
    """Every refusal is a page with a sentence."""
    if isinstance(error, Refused):
        status, sentence, wait = error.status, error.sentence, error.retry_after
    elif isinstance(error, NotFoundException):
        status, sentence, wait = 404, NO_SUCH_PAGE, None
    else:
        problem = problems.problem_of(error, request.scope)
        status, sentence, wait = problem.status, problem.detail, None
    return Template(
        "error.html",
        context={
            "status": status,
            "sentence": sentence,
            "request_id": request.scope["state"].get("request_id", ""),
        },
        status_code=status,
        headers={} if wait is None else {"Retry-After": str(wait)},
        cookies=[error.ended] if isinstance(error, TwoCookies) else [],
    )


def _tx(scope: Scope) -> Tx:
    tx = scope["state"]["tx"]
    assert isinstance(tx, Tx)
    return tx


def _here(scope: Scope) -> Here:
    here = scope["state"]["here"]
    assert isinstance(here, Here)
    return here


def _form(scope: Scope) -> Form:
    form = scope["state"]["form"]
    assert isinstance(form, Form)
    return form


def _now(scope: Scope) -> datetime:
    now = scope["state"]["now"]
    assert isinstance(now, datetime)
    return now
