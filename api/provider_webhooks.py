"""Where payment providers post what happened: outside /v1, let in by a signature in place of a key.

Whoever does not know an address learns nothing by trying: of a connection that is not there the body is read,
its secrets are looked for and a signature is computed, as of one that is.
"""

import asyncio
from collections.abc import Sequence
from secrets import token_bytes, token_hex
from typing import Any, Protocol

from litestar import Request, post
from litestar.datastructures import State
from litestar.exceptions import ClientException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

from api import body as bodies
from api import clock
from api.wake import Waker
from billing.gateways.connections.model import PaymentConnectionId
from kernel import clocks
from kernel.database import Pool, Tx, transaction
from kernel.errors import Invalid, NotFound
from kernel.ids import TenantId
from kernel.structs import Value
from webhooks import signature, stripe_events
from webhooks.receive import receive

SECONDS = 10.0  # Stripe waits for twenty
HEADER = signature.HEADER.lower().encode()


class Connection(Value, frozen=True, kw_only=True):
    id: PaymentConnectionId
    tenant: TenantId


class Connections(Protocol):
    """Whose a connection is, and by which secrets its provider signs."""

    async def find(self, pool: Pool, connection_id: str) -> Connection | None: ...

    async def secrets_of(self, tx: Tx, connection_id: PaymentConnectionId) -> Sequence[str]: ...


class Taken(Value, frozen=True, kw_only=True):
    """What the provider is told: it is kept. A duplicate was, before."""

    duplicate: bool
    received: bool = True


# Nobody's, by a secret that nobody knows.
NOBODY = Connection(id=PaymentConnectionId(token_bytes(16)), tenant=TenantId(token_bytes(16)))
NO_SECRET = (token_hex(),)


def stripe_endpoint(connections: Connections, waker: Waker) -> HTTPRouteHandler:
    @post("/webhooks/stripe/{connection_id:str}", status_code=200, include_in_schema=False)
    async def take_stripe_event(request: Request[Any, Any, State], connection_id: FromPath[str]) -> Taken:
        body = await _body_of(request)
        signed = [value for name, value in request.scope["headers"] if name == HEADER]
        pool: Pool = request.app.state.pool
        async with asyncio.timeout(SECONDS):
            connection = await connections.find(pool, connection_id)
            async with transaction(pool, (connection or NOBODY).tenant, now=clock.now()) as tx:
                new = await _take(tx, connections, connection, body, signed)
        request.scope["state"]["tx"] = tx  # whose it was, for the line in the log
        if tx.due is not None and tx.due <= tx.wall:
            waker.wake(tx.tenant)
        return Taken(duplicate=not new)

    return take_stripe_event


async def _take(
    tx: Tx, connections: Connections, connection: Connection | None, body: bytes, signed: Sequence[bytes]
) -> bool:
    await clocks.go_by(tx)
    secrets = await connections.secrets_of(tx, (connection or NOBODY).id)
    try:
        signature.check(body, signed, NO_SECRET if connection is None else secrets, now=tx.wall)
    except Invalid:
        if connection is not None:
            raise
    if connection is None:
        raise NotFound("payment_connection_not_found", "There is no payment connection at this address.")
    return await receive(tx, connection.id, "stripe", stripe_events.read(body))


async def _body_of(request: Request[Any, Any, State]) -> bytes:
    try:
        return await bodies.read(request.receive, request.scope["headers"])
    except bodies.Disconnected:
        raise ClientException from None
