"""Payments: money in, recorded from outside or taken through a gateway.

pending ──▶ succeeded
   │            ▲
   └──────▶ failed      (its provider may say later that it succeeded after all)

A payment recorded from outside is born succeeded.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Self

import msgspec

from billing.credit_notes.model import NoteToApply
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId, LegalEntityId
from kernel.errors import Conflict
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.structs import Input, Value
from kernel.text import Name


class PaymentId(Id, prefix="pay", logged=True):
    """A payment."""


class Status(StrEnum):
    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


NEXT: dict[Status, frozenset[Status]] = {
    Status.PENDING: frozenset({Status.SUCCEEDED, Status.FAILED}),
    Status.SUCCEEDED: frozenset(),
    Status.FAILED: frozenset({Status.SUCCEEDED}),
}


class Means(StrEnum):
    """How the money came. `provider` went through a gateway, all others past us."""

    PROVIDER = "provider"
    TRANSFER = "transfer"
    CARD = "card"
    DIRECT_DEBIT = "direct_debit"
    CHECK = "check"
    CASH = "cash"
    OTHER = "other"


class OutsideMeans(StrEnum):
    """Means that do not go through a gateway."""

    TRANSFER = "transfer"
    CARD = "card"
    DIRECT_DEBIT = "direct_debit"
    CHECK = "check"
    CASH = "cash"
    OTHER = "other"


class Payment(Value, frozen=True, kw_only=True):
    """`refunded` counts what went back and what is on its way back, `disputed` what is in disputes that are
    open or were lost: the rest can still be refunded. What was lost is also `charged_back`.

    `gateway` is what took it: `sandbox`, or the id of a payment connection. Money that came for no invoice
    has no `invoice_id`, also when it was matched with some since.
    """

    id: PaymentId
    customer_id: CustomerId
    invoice_id: InvoiceId | None
    currency: Currency
    amount: Money
    refunded: Money
    disputed: Money
    charged_back: Money
    status: Status
    means: Means
    reference: str | None
    received_on: date | None
    gateway: str | None
    gateway_reference: str | None
    payment_method: str | None
    failure_code: str | None
    created_at: datetime

    @property
    def in_dispute(self) -> Money:
        """What disputes that are open hold of it."""
        return self.disputed - self.charged_back

    def to(self, status: Status, **changes: object) -> Self:
        """This payment in another state. Raises Conflict `payment_state`."""
        if status not in NEXT[self.status]:
            raise Conflict("payment_state", f"A {self.status} payment cannot be {status}.")
        return msgspec.structs.replace(self, status=status, **changes)


class Known(Value, frozen=True, kw_only=True):
    """A payment by its two names: ours, and the provider's as far as it has told us."""

    id: PaymentId
    gateway_reference: str | None
    status: Status


class NewPayment(Input, frozen=True, kw_only=True):
    """Money that came past us. Without `amount` it is all that is due.

    With `credit_notes`, these are applied to the invoice first, in the same act: then 0.00 may be paid.
    """

    means: OutsideMeans
    amount: Money | None = None
    received_on: date | None = None
    reference: Name | None = None
    credit_notes: Annotated[list[NoteToApply], msgspec.Meta(max_length=100)] = []


class NewMoney(Input, frozen=True, kw_only=True):
    """Money that came past us for no invoice: the customer's balance, until it is matched with one."""

    means: OutsideMeans
    amount: Money
    received_on: date | None = None
    reference: Name | None = None


class NewAllocation(Input, frozen=True, kw_only=True):
    """The invoice that the money pays, and how much of it: without `amount` as much as goes."""

    invoice: InvoiceId
    amount: Money | None = None


class Unallocated(Value, frozen=True, kw_only=True):
    """Money that is on no invoice: `left` is matched with none yet, and in no dispute."""

    payment: Payment
    legal_entity_id: LegalEntityId
    left: Money
