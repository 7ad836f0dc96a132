"""A dispute: the customer's bank may take a payment back, or a part of it.

open ──▶ won | lost

While it is open, nothing of its amount can go back to the customer another way. Lost, the money has gone,
and what it had paid is due again.
"""

from datetime import datetime
from enum import StrEnum
from typing import Self

import msgspec

from billing.parties.model import CustomerId
from billing.payments.model import PaymentId
from kernel.errors import Conflict
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.structs import Input, Value
from kernel.text import Name


class DisputeId(Id, prefix="dsp", logged=True):
    """A dispute about a payment (chargeback)."""


class DisputeStatus(StrEnum):
    OPEN = "open"
    WON = "won"  # the money stays with us
    LOST = "lost"  # the money went back


NEXT: dict[DisputeStatus, frozenset[DisputeStatus]] = {
    DisputeStatus.OPEN: frozenset({DisputeStatus.WON, DisputeStatus.LOST}),
    DisputeStatus.WON: frozenset(),
    DisputeStatus.LOST: frozenset(),
}


class Dispute(Value, frozen=True, kw_only=True):
    """`reference` is what the provider calls it, `reason` its word for why."""

    id: DisputeId
    payment_id: PaymentId
    customer_id: CustomerId
    currency: Currency
    amount: Money
    status: DisputeStatus
    reason: str | None
    reference: str | None
    opened_at: datetime
    closed_at: datetime | None

    def to(self, status: DisputeStatus, *, at: datetime) -> Self:
        """This dispute in another state. Raises Conflict `dispute_state`."""
        if status not in NEXT[self.status]:
            raise Conflict("dispute_state", f"A dispute that is {self.status} cannot be {status}.")
        return msgspec.structs.replace(self, status=status, closed_at=at)


class NewDispute(Input, frozen=True, kw_only=True):
    """Without `amount` it is about all of the payment that is not disputed yet."""

    amount: Money | None = None
    reason: Name | None = None
    reference: Name | None = None


class Verdict(StrEnum):
    WON = "won"
    LOST = "lost"


class NewVerdict(Input, frozen=True, kw_only=True):
    """How a dispute ended: `won`, and the money stays, or `lost`."""

    outcome: Verdict
