"""What happens to payments."""

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from billing.payments.model import PaymentId
from kernel.events import Event
from kernel.money import Money


class PaymentRequested(Event, frozen=True, kw_only=True, tag="payment.requested"):
    """Somebody asked for the invoice to be charged now."""

    invoice_id: InvoiceId
    customer_id: CustomerId


class PaymentSucceeded(Event, frozen=True, kw_only=True, tag="payment.succeeded"):
    payment_id: PaymentId
    invoice_id: InvoiceId
    customer_id: CustomerId


class PaymentFailed(Event, frozen=True, kw_only=True, tag="payment.failed"):
    payment_id: PaymentId
    invoice_id: InvoiceId
    customer_id: CustomerId
    failure_code: str


class MoneyReceived(Event, frozen=True, kw_only=True, tag="payment.unallocated"):
    """Money came in that is on no invoice; `invoice_id` is what it was for, and was settled meanwhile."""

    payment_id: PaymentId
    customer_id: CustomerId
    invoice_id: InvoiceId | None
    amount: Money


class PaymentApplied(Event, frozen=True, kw_only=True, tag="payment.applied"):
    """Money that was on no invoice pays one."""

    payment_id: PaymentId
    customer_id: CustomerId
    invoice_id: InvoiceId
    amount: Money
