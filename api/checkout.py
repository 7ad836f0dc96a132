"""The link on which a customer leaves a payment method: it leads to a page of the payment provider's.

Outside /v1, without a key: whoever has the link may follow it, for a day. It gives away nothing but an empty
page on which a card can be left for the customer it was made for.
"""

from litestar import Request, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath
from litestar.response import Redirect

from api import clock
from billing.gateways.checkouts.follow_link import page_for, read_visit, settled
from billing.gateways.checkouts.model import CheckoutSessionId, Session
from billing.gateways.connections.vault import SecretLost
from billing.gateways.model import GatewayRefused, GatewayTimeout
from kernel.database import Door
from kernel.errors import Unavailable, not_found
from kernel.ids import TenantId
from kernel.structs import Value


class Links(Value, frozen=True, kw_only=True):
    """Where the links of checkout sessions lead: here."""

    base_url: str

    def of(self, tenant: TenantId, session: Session) -> str:
        return f"{self.base_url}/checkout/{tenant}/{session.id}"


@get("/checkout/{tenant_id:str}/{session_id:str}", status_code=303, include_in_schema=False)
async def follow_checkout_link(
    request: Request[object, object, State], tenant_id: FromPath[str], session_id: FromPath[str]
) -> Redirect:
    """To the provider's page; back to where the customer came from when there is nothing left to do."""
    tenant, known = TenantId.read(tenant_id), CheckoutSessionId.read(session_id)
    if tenant is None or known is None:
        raise not_found("checkout session", session_id)
    return Redirect(await _where_to(request.app.state, tenant, known), status_code=303)


async def _where_to(state: State, tenant: TenantId, session_id: CheckoutSessionId) -> str:
    door = Door(pool=state.pool, tenant=tenant, now=clock.now)
    async with door.open() as tx:
        visit = await read_visit(tx, session_id)
    if (back := settled(visit.session)) is not None:
        return back

    try:
        provider = await state.gateways.stripe(door, visit.session.connection_id)
        if provider is not None:
            return await page_for(door, provider, visit)
    except (GatewayTimeout, GatewayRefused, SecretLost):
        raise _unavailable() from None
    raise _unavailable()


def _unavailable() -> Unavailable:
    return Unavailable(
        "gateway_unavailable", "The payment provider cannot be reached right now. Try again in a minute."
    )


ROUTES: list[HTTPRouteHandler] = [follow_checkout_link]
