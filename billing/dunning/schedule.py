"""What is done about an invoice that is not paid in time, and on which days. Pure."""

from enum import StrEnum
from itertools import pairwise
from typing import Annotated

import msgspec

from kernel.errors import Invalid
from kernel.structs import Input

Days = Annotated[int, msgspec.Meta(ge=1, le=365)]


class Step(Input, frozen=True, kw_only=True):
    """`retry` charges the payment method again; where nothing is charged, `remind` writes to the customer.

    A charge that fails is told to the customer in any case.
    """

    after_days: Days
    retry: bool = False
    remind: bool = True


class Action(StrEnum):
    """What happens to the subscription in the end."""

    CANCEL = "cancel"
    PAUSE = "pause"  # until somebody resumes it


class FinalCredit(StrEnum):
    """What of the current period is credited: as when cancelling or pausing by hand."""

    NONE = "none"
    PRORATED = "prorated"
    FULL = "full"


class FinalAction(Input, frozen=True, kw_only=True):
    """For an invoice that no step has settled; what is due on it stays due, but for the credit."""

    after_days: Days
    action: Action = Action.CANCEL
    credit: FinalCredit = FinalCredit.NONE


class Schedule(Input, frozen=True, kw_only=True):
    """Days count from the charge that failed, or from the day the invoice was due.

    Without steps and a final action nothing is done: the subscription is past due, and that is all.
    """

    steps: Annotated[tuple[Step, ...], msgspec.Meta(max_length=20)] = ()
    final: FinalAction | None = None

    @property
    def days(self) -> tuple[int, ...]:
        """Of each step, and of the final action as the last one."""
        steps = tuple(step.after_days for step in self.steps)
        return (*steps, self.final.after_days) if self.final else steps


# Two weeks for a card that failed, as is usual; an invoice that was sent cancels nothing by itself.
AUTOMATIC = Schedule(
    steps=tuple(Step(after_days=days, retry=True) for days in (3, 5, 7)), final=FinalAction(after_days=14)
)
SEND_INVOICE = Schedule(steps=tuple(Step(after_days=days) for days in (3, 10, 20)))


def check(schedule: Schedule, *, can_charge: bool, param: str) -> None:
    """Raises Invalid: each day is after the one before, and each step does something."""
    final, days = schedule.final, schedule.days
    if final is not None and final.action is Action.PAUSE and final.credit is FinalCredit.FULL:
        raise Invalid(
            "dunning_pause_credit",
            "A pause credits nothing, or the unused part (prorated) of what was billed.",
            param=f"{param}.final.credit",
        )
    for position, (earlier, later) in enumerate(pairwise(days), start=1):
        if later <= earlier:
            at = f"steps[{position}]" if position < len(schedule.steps) else "final"
            raise Invalid(
                "dunning_days_unordered",
                f"Day {later} does not come after day {earlier}: list the steps in their order, one for a "
                "day, and the final action after them.",
                param=f"{param}.{at}.after_days",
            )
    for position, step in enumerate(schedule.steps):
        if step.retry and not can_charge:
            raise Invalid(
                "dunning_retry_of_sent",
                "An invoice that is sent to be paid is never charged: leave `retry` out.",
                param=f"{param}.steps[{position}].retry",
            )
        if not (step.retry or step.remind):
            raise Invalid(
                "dunning_step_idle",
                "A step charges or reminds: one that does neither can be left out.",
                param=f"{param}.steps[{position}]",
            )
