"""What happens to invoices that are not paid in time."""

from datetime import datetime

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.events import Event


class InvoiceOverdue(Event, frozen=True, kw_only=True, tag="invoice.overdue"):
    """The day it was due is over, or a charge of it has failed."""

    invoice_id: InvoiceId
    customer_id: CustomerId


class InvoiceReminderDue(Event, frozen=True, kw_only=True, tag="invoice.reminder_due"):
    """`step` is 1 for the first of the schedule."""

    invoice_id: InvoiceId
    customer_id: CustomerId
    step: int


class InvoiceRecovered(Event, frozen=True, kw_only=True, tag="invoice.recovered"):
    """It was overdue, and is settled: paid, credited, or both."""

    invoice_id: InvoiceId
    customer_id: CustomerId


class DunningExhausted(Event, frozen=True, kw_only=True, tag="invoice.dunning_exhausted"):
    """Every step was taken, and it is not settled: now comes the final action, if there is one."""

    invoice_id: InvoiceId
    customer_id: CustomerId


class DunningPaused(Event, frozen=True, kw_only=True, tag="invoice.dunning_paused"):
    invoice_id: InvoiceId
    customer_id: CustomerId
    until: datetime | None


class DunningResumed(Event, frozen=True, kw_only=True, tag="invoice.dunning_resumed"):
    invoice_id: InvoiceId
    customer_id: CustomerId
