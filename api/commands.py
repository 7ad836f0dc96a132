"""Around every operation under /v1: whose request is it, may they, and does its effect stay?

A query runs in a transaction that cannot write. A command runs in one that is committed when its
answer is below 400 and rolled back otherwise. The answer is held until then: what was answered is
what happened.
"""

from collections.abc import Mapping
from typing import cast

from litestar.enums import ScopeType
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, HTTPScope, Receive, Scope, Send

from api import attempts, clock, operations, problems, target
from api import body as bodies
from api.access import key_text, store
from api.access.admissions import Admissions
from api.access.directory import Directory
from api.access.key_text import KeyText
from api.access.last_use import LastUse
from api.access.model import ApiKey
from api.access.store import DirectoryRow
from api.attempts import Call
from api.held import Held
from api.quotes import Signer
from api.wake import Waker
from kernel.database import Pool, Tx, begin, commit, rollback, undone
from kernel.errors import Invalid
from kernel.structs import encode

ACQUIRE_SECONDS = 5.0


class Commands(ASGIMiddleware):
    scopes = (ScopeType.HTTP,)
    should_bypass_for_scope = staticmethod(lambda scope: not operations.is_operation(scope))

    def __init__(
        self,
        *,
        directory: Directory,
        admissions: Admissions,
        signer: Signer,
        waker: Waker,
        last_use: LastUse,
        secret: bytes,
    ) -> None:
        self._directory = directory
        self._admissions = admissions
        self._signer = signer
        self._waker = waker
        self._last_use = last_use
        self._secret = secret
        self._parameters: Mapping[str, Mapping[str, bool]] = {}

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        held = Held(send, streams=operations.of(scope).reads)
        try:
            await self._run(cast(HTTPScope, scope), receive, held, next_app)
        except bodies.Disconnected:
            return
        except Exception as error:
            if held.gone:
                raise
            _refuse(held, error, scope)
        await held.release()

    async def _run(self, scope: HTTPScope, receive: Receive, held: Held, app: ASGIApp) -> None:
        operation = operations.of(scope)
        key = _key_of(dict(scope["headers"]))
        # A slow upload must not hold a connection, so the body is here before one is taken.
        body = b"" if scope["method"] == "GET" else await bodies.read(receive, scope["headers"])
        call = Call(
            operation=operation,
            scope=scope,
            receive=receive,
            body=body,
            held=held,
            app=app,
            now=clock.now(),
        )
        kept = await self._in_transaction(call, key)
        if kept is not None and kept.due is not None and kept.due <= clock.now():
            self._waker.wake(kept.tenant)

    async def _in_transaction(self, call: Call, key: KeyText) -> Tx | None:
        """The transaction, if its effect stays."""
        pool: Pool = call.scope["litestar_app"].state.pool
        async with pool.acquire(timeout=ACQUIRE_SECONDS) as conn:
            row = await self._directory.find(conn, key)
            reads = call.operation.reads
            # What has a body names what it is about; lists are planned for what they are asked.
            by_key = call.scope["method"] != "GET"
            tx = await begin(conn, row.tenant_id, now=call.now, read_only=reads, planned_once=by_key)
            tx.secret = self._secret
            # Whoever is cancelled leaves it to the pool, which undoes what is still open.
            try:
                await self._admit(tx, call, row)
                keeps = await (_read(call) if reads else self._write(tx, call))
                await _end(tx, keeps=keeps)
            except Exception as error:
                if await rollback(tx):
                    raise
                raise problems.busy() from error
            if not keeps:
                await undone(tx)
                return None
        self._admissions.forget(tx.tenant)
        return tx

    async def _admit(self, tx: Tx, call: Call, row: DirectoryRow) -> None:
        caller = self._remembered(tx, call, row) or await self._look_up(tx, row)
        tx.actor = str(caller.id)
        call.scope["state"].update(tx=tx, caller=caller, now=call.now)
        caller.check_usable(now=call.now)
        caller.check_scope(call.operation.scope)
        self._last_use.note(tx.tenant, caller.id, now=call.now)
        target.check_query(call.scope["query_string"], self._known_parameters(call))

    def _remembered(self, tx: Tx, call: Call, row: DirectoryRow) -> ApiKey | None:
        if not call.operation.reads:
            return None
        admitted = self._admissions.recall(tx.tenant, row.api_key_id)
        if admitted is None or (admitted.has_clock and not call.operation.reads_clock):
            return None
        return admitted.key

    async def _look_up(self, tx: Tx, row: DirectoryRow) -> ApiKey:
        """The key as it stands in this transaction."""
        caller, own_time = await store.admitted(tx, row.api_key_id)
        if own_time is not None:
            tx.go_by(own_time)
        self._admissions.note(tx.tenant, caller, has_clock=own_time is not None)
        return caller

    async def _write(self, tx: Tx, call: Call) -> bool:
        _check_body(call)
        return await attempts.run(tx, call, self._signer)

    def _known_parameters(self, call: Call) -> Mapping[str, bool]:
        if not self._parameters:
            self._parameters = operations.known_parameters(call.scope["litestar_app"])
        return self._parameters[call.operation.id]


async def _end(tx: Tx, *, keeps: bool) -> None:
    if keeps:
        await commit(tx)
    elif not await rollback(tx):
        raise problems.busy()


def _check_body(call: Call) -> None:
    bodies.check(call.body, call.scope["headers"], expected=operations.takes_body(call.scope))


async def _read(call: Call) -> bool:
    _check_body(call)
    await call.answer()
    return False


def _key_of(headers: Mapping[bytes, bytes]) -> KeyText:
    scheme, _, credentials = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
    if not scheme:
        raise Invalid(
            "key_missing",
            "Send your API key, as Authorization: Bearer rk_live_… or rk_test_….",
            param="Authorization",
        )
    return key_text.parse(credentials.strip() if scheme.lower() == "bearer" else "")


def _refuse(held: Held, error: Exception, scope: Scope) -> None:
    problem = problems.problem_of(error, scope)
    held.set(problem.status, problem.headers, encode(problem))
