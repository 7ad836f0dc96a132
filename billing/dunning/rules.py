"""When an invoice is overdue, and when the steps of its dunning are due. Pure."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from billing.dunning.model import Dunning, Status
from billing.dunning.schedule import Schedule, Step
from billing.invoices.model import Collection, Invoice
from billing.parties.model import Settings
from kernel.errors import Invalid
from kernel.periods import Interval, Unit, days_between, local_date, nth_boundary

MORNING = time(9)  # when steps come that count from a day


def overdue_from(invoice: Invoice) -> datetime:
    """The end of the day it is due on, where the seller is."""
    return _at(invoice.due_on + timedelta(days=1), time(), invoice)


def is_overdue(invoice: Invoice, *, charge_failed: bool, now: datetime) -> bool:
    """Not while a payment of all that is due is under way."""
    late = now >= overdue_from(invoice) or (charge_failed and invoice.collection is Collection.AUTOMATIC)
    return late and is_waited_for(invoice)


def is_waited_for(invoice: Invoice) -> bool:
    """Something is due that no payment under way would settle."""
    return invoice.settlement.due > invoice.settlement.pending


def schedule_of(invoice: Invoice, settings: Settings) -> Schedule:
    if invoice.collection is Collection.AUTOMATIC:
        return settings.dunning_automatic
    return settings.dunning_send_invoice


def to_come(invoice: Invoice, schedule: Schedule, *, now: datetime) -> Dunning:
    """Of an invoice that is not overdue yet."""
    return Dunning(
        invoice_id=invoice.id,
        status=Status.RUNNING,
        schedule=schedule,
        overdue_at=None,
        counted_from=counted_from(invoice, now=now),
        steps_taken=0,
        next_at=None,
    )


def begun(invoice: Invoice, schedule: Schedule, earlier: Dunning | None, *, now: datetime) -> Dunning:
    """The invoice is overdue from now on; `earlier` may be paused already."""
    dunning = replace(to_come(invoice, schedule, now=now), overdue_at=now)
    next_at = next_time(dunning, invoice, now=now)
    if next_at is None:  # there is no step at all
        return dunning.to(Status.EXHAUSTED)
    if earlier is not None and _pauses(earlier, now):
        return paused(dunning, invoice, until=earlier.next_at, now=now)
    return replace(dunning, next_at=next_at)


def paused(dunning: Dunning, invoice: Invoice, *, until: datetime | None, now: datetime) -> Dunning:
    """No step comes before the end of the pause, and none before its own time."""
    if until is None:
        return dunning.to(Status.PAUSED, next_at=None)
    planned = next_time(dunning, invoice, now=now) if dunning.overdue_at else None
    return dunning.to(Status.PAUSED, next_at=max(until, planned or until))


def _pauses(dunning: Dunning, now: datetime) -> bool:
    return dunning.status is Status.PAUSED and (dunning.next_at is None or dunning.next_at > now)


def counted_from(invoice: Invoice, *, now: datetime) -> datetime:
    """A charge that failed counts from now, an invoice that was sent from the morning of its day."""
    if invoice.collection is Collection.AUTOMATIC:
        return now
    return morning_of(invoice.due_on, invoice)


def morning_of(day: date, invoice: Invoice) -> datetime:
    return _at(day, MORNING, invoice)


def next_time(dunning: Dunning, invoice: Invoice, *, now: datetime) -> datetime | None:
    """When the next step is to be taken: at its time, or at once when that is over."""
    planned = _planned(dunning, ZoneInfo(invoice.time_zone))
    return None if planned is None else max(planned, now)


def retry_on(dunning: Dunning, invoice: Invoice) -> date | None:
    """The day of the next step, if that is to charge again."""
    step = dunning.next_step
    if dunning.next_at is None or not isinstance(step, Step) or not step.retry:
        return None
    return local_date(dunning.next_at, ZoneInfo(invoice.time_zone))


def is_due(dunning: Dunning, invoice: Invoice, *, now: datetime) -> bool:
    """The next step can be taken: its time has come, and something is waited for."""
    return (
        dunning.overdue_at is not None
        and dunning.next_at is not None
        and dunning.next_at <= now
        and is_waited_for(invoice)
    )


def stepped(dunning: Dunning, invoice: Invoice, *, now: datetime) -> Dunning:
    """After the step that is due. What comes late, after a pause or a payment, moves all that follows."""
    zone = ZoneInfo(invoice.time_zone)
    planned = _planned(dunning, zone)
    assert planned is not None, "a step that is due is in the schedule"
    late = max(days_between(planned, now, zone), 0)
    moved = nth_boundary(dunning.counted_from, Interval(Unit.DAY, late), 1, zone)
    after = replace(dunning, counted_from=moved, steps_taken=dunning.steps_taken + 1)

    next_at = next_time(after, invoice, now=now)
    return after.to(Status.EXHAUSTED if next_at is None else Status.RUNNING, next_at=next_at)


def pause_end(until: date | None, invoice: Invoice, *, now: datetime) -> datetime | None:
    """Raises Invalid `dunning_pause_until`."""
    if until is None:
        return None
    today = local_date(now, ZoneInfo(invoice.time_zone))
    if not today < until <= today + timedelta(days=366):
        raise Invalid(
            "dunning_pause_until", "Dunning is paused until a day to come, within a year.", param="until"
        )
    return morning_of(until, invoice)


def _planned(dunning: Dunning, zone: ZoneInfo) -> datetime | None:
    if dunning.steps_taken == len(dunning.schedule.days):
        return None
    days = dunning.schedule.days[dunning.steps_taken]
    return nth_boundary(dunning.counted_from, Interval(Unit.DAY, days), 1, zone)


def _at(day: date, moment: time, invoice: Invoice) -> datetime:
    return datetime.combine(day, moment, tzinfo=ZoneInfo(invoice.time_zone)).astimezone(UTC)
