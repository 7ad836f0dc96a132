"""Dunning: what is done about one invoice that is not paid in time.

running   ──▶ paused | exhausted | recovered
paused    ──▶ paused | running | exhausted | recovered      (by hand, with an end or without)
exhausted ──▶ recovered                                     (every step was taken; settled after all)

It may be paused before the invoice is overdue, when the customer has promised to pay. Should a settlement be
undone, another dunning takes the place of the one that recovered.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Self

import msgspec

from billing.dunning.schedule import FinalAction, Schedule, Step
from billing.invoices.model import InvoiceId
from kernel.errors import Conflict
from kernel.structs import Input, Value


class Status(StrEnum):
    RUNNING = "running"
    PAUSED = "paused"
    EXHAUSTED = "exhausted"
    RECOVERED = "recovered"


NEXT: dict[Status, frozenset[Status]] = {
    Status.RUNNING: frozenset({Status.PAUSED, Status.EXHAUSTED, Status.RECOVERED}),
    Status.PAUSED: frozenset({Status.PAUSED, Status.RUNNING, Status.EXHAUSTED, Status.RECOVERED}),
    Status.EXHAUSTED: frozenset({Status.RECOVERED}),
    Status.RECOVERED: frozenset(),
}


class Dunning(Value, frozen=True, kw_only=True):
    """Where the dunning of an invoice stands. It keeps the schedule that held when it began.

    `next_at` is when the next step is due, or the pause ends; null when nothing is to come by itself.
    `overdue_at` is null as long as the invoice can be paid in time.
    """

    invoice_id: InvoiceId
    status: Status
    schedule: Schedule
    overdue_at: datetime | None
    counted_from: datetime
    steps_taken: int
    next_at: datetime | None

    def to(self, status: Status, **changes: object) -> Self:
        """This dunning in another state. Raises Conflict `dunning_state`."""
        if status is not self.status and status not in NEXT[self.status]:
            raise Conflict("dunning_state", f"Dunning that is {self.status} cannot be {status}.")
        return msgspec.structs.replace(self, status=status, **changes)

    @property
    def next_step(self) -> Step | FinalAction | None:
        steps = (*self.schedule.steps, self.schedule.final)
        return steps[self.steps_taken] if self.steps_taken < len(steps) else None


class NewPause(Input, frozen=True, kw_only=True):
    """Dunning goes on in the morning of the day `until`, or without one when it is resumed."""

    until: date | None = None
