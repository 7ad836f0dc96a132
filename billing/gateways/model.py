"""A gateway is our side of a payment provider. Every one passes the same contract suite.

Each call carries our own id, which the provider keeps: the same id is the same charge or refund, however
often it is sent, and `find_…` tells what became of it when an answer was lost. The provider may have
forgotten after a day that it saw a request, but never what it did: look before anything is sent again.
"""

from collections.abc import AsyncIterator
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.structs import Value

# The name of a gateway that nothing goes through: no provider is connected.
NOWHERE = "none"


class Status(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PENDING = "pending"


class Outcome(Value, frozen=True, kw_only=True):
    """What the provider says. `reference` is its own id, `failure_code` its reason."""

    status: Status
    reference: str
    failure_code: str | None = None


class GatewayTimeout(Exception):
    """No answer. The provider may or may not have done it: look it up before sending it again."""


class GatewayRefused(Exception):
    """The provider does not let us in, or we sent it nonsense: nothing was done, and it can be tried again.

    The code says why. There is no text: a key or a person may be in it.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class ChargeIntent(Value, frozen=True, kw_only=True):
    """A charge to make, under our id. `customer` is the provider's, who owns the payment method there.

    `requested_at` is a wall time at which nothing had been sent yet: no trace of it is older.
    """

    id: Id
    amount: Money
    payment_method: str
    customer: str | None
    requested_at: datetime


class RefundIntent(Value, frozen=True, kw_only=True):
    """Money to give back on a charge, which goes by the provider's own id."""

    id: Id
    charge: str
    amount: Money
    requested_at: datetime


class Gateway(Protocol):
    """`charge` and `refund` raise GatewayTimeout and GatewayRefused, and so does looking up."""

    @property
    def name(self) -> str: ...

    async def charge(self, intent: ChargeIntent) -> Outcome: ...

    async def find_charge(self, intent: ChargeIntent) -> Outcome | None: ...

    async def refund(self, intent: RefundIntent) -> Outcome: ...

    async def find_refund(self, intent: RefundIntent) -> Outcome | None: ...


# ── payment methods that customers leave at the provider ─────────────────────────────────────────


class Payer(Value, frozen=True, kw_only=True):
    """A customer of ours, as the provider is told of them. The same `key` is the same payer, for a day."""

    id: Id
    key: str
    name: str
    email: str | None


class CheckoutIntent(Value, frozen=True, kw_only=True):
    """`payer` is the provider's id of the customer, `currency` what they will pay in; an `id` is one page."""

    id: Id
    customer_id: Id
    payer: str
    currency: Currency
    success_url: str
    cancel_url: str


class Checkout(Value, frozen=True, kw_only=True):
    """A page of the provider's: send the customer there. Nothing of their card comes to us."""

    reference: str
    url: str
    expires_at: datetime


class Saving(Protocol):
    """A provider at which customers leave their payment methods themselves."""

    async def create_payer(self, payer: Payer) -> str: ...

    async def open_checkout(self, intent: CheckoutIntent) -> Checkout: ...


# ── what the provider has in its books ───────────────────────────────────────────────────────────


class Charge(Value, frozen=True, kw_only=True):
    """Money in, or an attempt. `our_id` is null, or not ours, for what was made in its dashboard."""

    reference: str
    our_id: str | None
    customer: str | None
    payment_method: str | None
    amount: Money
    refunded: Money
    status: Status
    failure_code: str | None
    created_at: datetime


class RefundMade(Value, frozen=True, kw_only=True):
    reference: str
    our_id: str | None
    charge: str
    amount: Money
    status: Status
    failure_code: str | None
    created_at: datetime


class DisputeStatus(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


class DisputeMade(Value, frozen=True, kw_only=True):
    """The customer's bank takes money back; `reason` is the provider's word for why."""

    reference: str
    charge: str
    amount: Money
    status: DisputeStatus
    reason: str
    created_at: datetime


class MethodSaved(Value, frozen=True, kw_only=True):
    """A payment method a customer left at the provider's own page. `our_id` is the customer's, with us.

    Two payment methods of the same card have the same `fingerprint`.
    """

    reference: str
    our_id: str | None
    customer: str
    payment_method: str
    fingerprint: str | None = None


class Ledgered(Protocol):
    """A provider whose books can be read. None is what it has not; the newest come first."""

    async def charge_of(self, reference: str) -> Charge | None: ...

    async def refund_of(self, reference: str) -> RefundMade | None: ...

    async def dispute_of(self, reference: str) -> DisputeMade | None: ...

    async def method_of(self, checkout: str) -> MethodSaved | None:
        """None as well while the customer has not finished there."""
        ...

    def charges_since(self, at: datetime) -> AsyncIterator[Charge]: ...

    def refunds_since(self, at: datetime) -> AsyncIterator[RefundMade]: ...

    def disputes_since(self, at: datetime) -> AsyncIterator[DisputeMade]: ...
