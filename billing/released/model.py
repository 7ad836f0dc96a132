"""Released lines: what a credit note took off an invoice, and left to be billed again.

free ──billed──▶ billed_by an invoice        once; a draft that names it does not keep it from others
"""

from datetime import datetime

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId, LineId, ReleasedLineId
from billing.parties.model import CustomerId, LegalEntityId
from billing.tax.model import TaxBehavior, TaxGroup
from kernel.decimals import Measure
from kernel.money import Currency, Money
from kernel.periods import Period
from kernel.structs import Value
from kernel.text import Name, Reference


class ReleasedLine(Value, frozen=True, kw_only=True):
    """What was credited of one line: with its VAT or without it, as `tax_behavior` says.

    Discounts have gone into the amount. `quantity` is that of the credit or of the whole line, and null where
    a part of the line was credited by its amount. `billed_by` is the invoice that billed it again.
    """

    id: ReleasedLineId
    credit_note_id: CreditNoteId
    invoice_id: InvoiceId
    invoice_line_id: LineId
    customer_id: CustomerId
    legal_entity_id: LegalEntityId
    description: Name
    item: Reference | None
    quantity: Measure | None
    period: Period | None
    currency: Currency
    amount: Money
    tax: TaxGroup
    tax_behavior: TaxBehavior
    billed_by: InvoiceId | None
    created_at: datetime
