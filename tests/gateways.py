"""Gateways for tests: one for everybody, or the real choice among them."""

from api.gateways import Gateways
from billing.gateways.connections.vault import Vault
from billing.gateways.model import Gateway
from billing.gateways.sandbox import Sandbox
from billing.gateways.stripe_http import StripeHttp
from billing.payments.model import PaymentId
from kernel.database import Door, Pool
from refunds.model import RefundId
from tests.servers import SECRET_KEY

VAULT = Vault([SECRET_KEY])


class Only(Gateways):
    """Everything goes through this one."""

    def __init__(self, gateway: Gateway) -> None:
        super().__init__(sandbox=gateway, vault=VAULT, http=StripeHttp(), stripe_url="http://nowhere.invalid")
        self._gateway = gateway

    async def to_charge(self, door: Door, payment_id: PaymentId | None = None) -> Gateway:
        return self._gateway

    async def to_refund(self, door: Door, refund_id: RefundId) -> Gateway:
        return self._gateway


def only_the_sandbox(pool: Pool) -> Gateways:
    return Only(Sandbox(pool))
