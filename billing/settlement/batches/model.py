"""Settlement batches: what is left of notes settles what is due, of all customers.

queued ──▶ running ──▶ done
   └──────────┴──────▶ cancelled

A worker goes from customer to customer and note to note, and keeps its mark: another goes on from there.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Self

from msgspec.structs import replace

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId, LegalEntityId
from kernel.errors import Conflict
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.structs import Input, Value


class SettlementBatchId(Id, prefix="stb"):
    """A settlement of all customers' notes and invoices."""


class BatchStatus(StrEnum):
    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"


NEXT: dict[BatchStatus, frozenset[BatchStatus]] = {
    BatchStatus.QUEUED: frozenset({BatchStatus.RUNNING, BatchStatus.CANCELLED}),
    BatchStatus.RUNNING: frozenset({BatchStatus.RUNNING, BatchStatus.DONE, BatchStatus.CANCELLED}),
    BatchStatus.DONE: frozenset(),
    BatchStatus.CANCELLED: frozenset(),
}


class NewSettlementBatch(Input, frozen=True, kw_only=True):
    """Of all currencies or of one, of all documents or of those issued before a day.

    To `simulate` does the same, chunk by chunk, and undoes it: the report is the same, and nothing else.
    """

    currency: Currency | None = None
    issued_before: date | None = None
    simulate: bool = False


class InCurrency(Value, frozen=True, kw_only=True):
    """What was applied."""

    currency: Currency
    applications: int
    amount: Money


class Refused(Value, frozen=True, kw_only=True):
    """Why that many credit notes settled nothing: `nothing_due`, `payment_in_flight`, or `internal`."""

    code: str
    credit_notes: int


class SettlementBatch(Value, frozen=True, kw_only=True):
    """`examined` counts the credit notes gone through, of a `total` that had something left at the start."""

    id: SettlementBatchId
    currency: Currency | None
    issued_before: date | None
    simulate: bool
    status: BatchStatus
    examined: int
    total: int
    applications: int
    applied: tuple[InCurrency, ...]
    refused: tuple[Refused, ...]
    created_at: datetime
    ended_at: datetime | None

    @property
    def is_over(self) -> bool:
        return self.status in (BatchStatus.DONE, BatchStatus.CANCELLED)

    def to(self, status: BatchStatus, *, ended_at: datetime | None = None) -> Self:
        """Raises Conflict `settlement_batch_over`; calling off twice is once."""
        if status is self.status is BatchStatus.CANCELLED:
            return self
        if status not in NEXT[self.status]:
            raise Conflict("settlement_batch_over", f"The batch is {self.status} already.")
        return replace(self, status=status, ended_at=ended_at)


class DueMark(Value, frozen=True, kw_only=True):
    """Between a customer and one seller in one currency: the last invoice that is gone through, and of the
    next one how much is taken already. `in_flight`: one of them waits for a payment that is under way."""

    legal_entity_id: LegalEntityId
    currency: Currency
    after: InvoiceId
    next: InvoiceId | None = None
    used: int = 0
    in_flight: bool = False


class Mark(Value, frozen=True, kw_only=True):
    """The customer and the last note that is gone through, and of the next one how much is used already.

    What is used is read from the rows, unless it is simulated: there nobody else knows of it.
    """

    customer_id: CustomerId
    after: CreditNoteId
    next: CreditNoteId | None = None
    used: int = 0
    dues: tuple[DueMark, ...] = ()


NOWHERE = Mark(customer_id=CustomerId(bytes(16)), after=CreditNoteId(bytes(16)))
NO_INVOICE = InvoiceId(bytes(16))
