"""What happens to invoices."""

from typing import ClassVar

from billing.invoices.model import Collection, InvoiceId
from billing.parties.model import CustomerId
from kernel.events import Event


class InvoiceIssued(Event, frozen=True, kw_only=True, tag="invoice.issued"):
    begins: ClassVar[bool] = True

    invoice_id: InvoiceId
    customer_id: CustomerId
    collection: Collection


class InvoiceSettled(Event, frozen=True, kw_only=True, tag="invoice.settled"):
    invoice_id: InvoiceId
    customer_id: CustomerId
