"""An invoice, a payment of it that is under way, and the books of the provider it goes through."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from billing.credit_notes.model import NewCreditNote, Reason
from billing.gateways.model import Status
from billing.invoices import store as invoices
from billing.invoices.model import Invoice
from billing.parties.model import RefundMode
from billing.payments import store as payments
from billing.payments.model import Payment
from billing.payments.model import Status as PaymentStatus
from kernel.database import Pool, Tx, transaction
from kernel.ids import TenantId
from refunds.credit_invoice import credit_invoice
from refunds.model import Refund
from tests.books import assert_sound
from tests.makers import NOON, euros
from tests.refunds.cases import an_intent
from tests.shop import a_door, a_shop, an_issued_invoice
from tests.webhooks.provider import HERE, Books
from tests.webhooks.test_receive import told
from webhooks.drift.model import Finding
from webhooks.follow import follow
from webhooks.model import ObjectKind, ProviderObject
from webhooks.receive import receive

T = TypeVar("T")

PI, RE = "pi_1", "re_1"
CHARGE = ProviderObject(kind=ObjectKind.CHARGE, reference=PI)
REFUND = ProviderObject(kind=ObjectKind.REFUND, reference=RE)
TOTAL = euros(179_76)


class Shop:
    """One invoice of 179.76 and a payment of it that is under way, here and at the provider."""

    def __init__(self, pool: Pool, tenant: TenantId) -> None:
        self.pool = pool
        self.tenant = tenant
        self.books = Books()
        self.invoice: Invoice
        self.payment: Payment

    async def inside(self, act: Callable[[Tx], Awaitable[T]]) -> T:
        async with transaction(self.pool, self.tenant, now=NOON) as tx:
            return await act(tx)

    async def open(self) -> None:
        async with transaction(self.pool, self.tenant, now=NOON) as tx:
            self.invoice = await an_issued_invoice(tx, await a_shop(tx, payment_method="pm_sandbox_ok"))
            self.payment = await an_intent(tx, self.invoice, None)

    def charged(self, status: Status = Status.SUCCEEDED, *, minor: int = 179_76) -> None:
        self.books.charged(PI, euros(minor), status, our_id=str(self.payment.id))

    async def follow(self, about: ProviderObject = CHARGE) -> Finding | None:
        """With a look at whether the books are sound."""
        found = await follow(a_door(self.pool, self.tenant), self.books.provider, about)
        await self.inside(assert_sound)
        return found

    async def tell(self, event: str) -> None:
        """Of the payment."""
        said = told(event, kind=ObjectKind.CHARGE, about=PI)
        await self.inside(lambda tx: receive(tx, HERE, "stripe", said))

    async def status(self) -> PaymentStatus:
        return (await self.inside(lambda tx: payments.get(tx, self.payment.id))).status

    async def due(self) -> int:
        return (await self.inside(lambda tx: invoices.get(tx, self.invoice.id))).settlement.due.minor

    async def refunded(self) -> Refund:
        """All of it is credited, and the refund under way, here and at the provider."""
        self.charged()
        await self.follow()

        async def credit(tx: Tx) -> Refund:
            request = NewCreditNote(reason=Reason.CANCELLATION, refund=RefundMode.AUTOMATIC)
            (refund,) = (await credit_invoice(tx, self.invoice.id, request)).refunds
            return refund

        refund = await self.inside(credit)
        self.books.refunded(RE, PI, TOTAL, Status.PENDING, our_id=str(refund.id))
        return refund
