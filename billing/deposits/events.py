"""What happens to deposits."""

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.events import Event
from kernel.money import Money


class DepositDeducted(Event, frozen=True, kw_only=True, tag="deposit.deducted"):
    """From the invoice that it was an advance on, the moment that one was issued."""

    deposit_id: InvoiceId
    invoice_id: InvoiceId
    customer_id: CustomerId
    amount: Money
