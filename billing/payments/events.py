"""What happens to payments."""

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from billing.payments.model import PaymentId
from kernel.events import Event


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
