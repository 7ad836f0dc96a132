"""Around every page of the console: whose browser is it, may they, and does what they did stay?

form ▶ session ▶ tenant ▶ transaction. A tenant of another account answers as one that never was.
"""

from collections.abc import Mapping
from datetime import datetime

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from api import body as bodies
from api import clock
from api.access.admissions import Admissions
from api.console import declare, forms
from api.console.access import sessions, store
from api.console.access.keyed import Keyed, chance
from api.console.access.model import NO_SUCH_PAGE, Place, Refused
from api.console.cookies import Cookies
from api.console.declare import Reach
from api.console.here import Here
from api.held import Held
from api.wake import Waker
from kernel import clocks
from kernel.database import Conn, Pool, Tx, begin, commit, rollback
from kernel.ids import TenantId

ACQUIRE_SECONDS = 5.0


class Gate(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)
    should_bypass_for_scope = staticmethod(lambda scope: not declare.is_declared(scope))

    def __init__(
        self, *, keyed: Keyed, cookies: Cookies, waker: Waker, admissions: Admissions, own_host: str
    ) -> None:
        self._keyed = keyed
        self._cookies = cookies
        self._waker = waker
        self._admissions = admissions
        self._own_host = own_host

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        held = Held(send, streams=False)
        try:
            await self._enter(scope, receive, held, next_app)
        except bodies.Disconnected:
            return
        await held.release()

    async def _enter(self, scope: Scope, receive: Receive, held: Held, app: ASGIApp) -> None:
        headers, now = dict(scope["headers"]), clock.now()
        session_id = self._cookies.session_id(headers)
        scope["state"].update(now=now, visitor=session_id)
        declared = declare.of(scope)
        if declared.acts:
            form = await forms.read(receive, headers, own_host=self._own_host)
            self._cookies.check_token(session_id, form.text("csrf"))
            scope["state"]["form"] = form

        if declared.reach is Reach.EVERYBODY:
            await self._as_visitor(scope, receive, held, app, session_id)
            return
        pool: Pool = scope["litestar_app"].state.pool
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as conn:
            here = await self._find(conn, scope, session_id, now=now)
            scope["state"]["here"] = here
            if here.place is not None:
                await self._in_tenant(conn, scope, receive, held, app)
                return
        await app(scope, receive, held.send)

    async def _as_visitor(
        self, scope: Scope, receive: Receive, held: Held, app: ASGIApp, session_id: str | None
    ) -> None:
        """Somebody who has no cookie gets one: the form on the page is bound to it."""
        if session_id is not None:
            scope["state"]["here"] = Here(path=scope["path"], token=self._cookies.token(session_id))
            await app(scope, receive, held.send)
            return
        value = chance()
        scope["state"]["here"] = Here(path=scope["path"], token=self._cookies.token(value))
        await app(scope, receive, held.send)
        held.add({"set-cookie": self._cookies.session(value).to_header(header="")})

    async def _find(self, conn: Conn, scope: Scope, session_id: str | None, *, now: datetime) -> Here:
        session = await sessions.find(conn, session_id, keyed=self._keyed, now=now)
        scope["state"]["admin"] = session.admin_id
        assert session_id is not None, "no session is found without its id"
        places = await store.places_of(conn, session.admin_id)
        return Here(
            path=scope["path"],
            token=self._cookies.token(session_id),
            session=session,
            places=tuple(places),
            place=_place(places, scope["path_params"]),
        )

    async def _in_tenant(self, conn: Conn, scope: Scope, receive: Receive, held: Held, app: ASGIApp) -> None:
        acts, state = declare.of(scope).acts, scope["state"]
        tx = await begin(conn, state["here"].tenant_id, now=state["now"], read_only=not acts)
        state["tx"] = tx
        try:
            await clocks.go_by(tx)
            await app(scope, receive, held.send)
        except BaseException:
            await rollback(tx)
            raise
        await self._end(tx, keeps=acts and held.status < 400)

    async def _end(self, tx: Tx, *, keeps: bool) -> None:
        if not keeps:
            await rollback(tx)
            return
        await commit(tx)
        self._admissions.forget(tx.tenant)
        if tx.due is not None and tx.due <= clock.now():
            self._waker.wake(tx.tenant)


def _place(places: list[Place], path_params: Mapping[str, str]) -> Place | None:
    if "tenant_id" not in path_params:
        return None
    tenant_id = TenantId.read(path_params["tenant_id"])
    for place in places:
        if place.tenant_id == tenant_id:
            return place
    raise Refused(404, NO_SUCH_PAGE)
