"""What a rebate is counted on and comes off: lines of invoices issued in a period."""

from datetime import date

from billing.credit_notes.model import CreditNoteId, Rebate
from billing.invoices.model import InvoiceId
from billing.parties.model import Customer, CustomerId, LegalEntity, Metadata
from kernel.decimals import Measure
from kernel.money import Currency, Money
from kernel.structs import Value
from kernel.text import Reference


class Scope(Value, frozen=True, kw_only=True):
    """Lines of these customers, issued in `[starts_on, ends_on)`; only those for `items`, if there are any.

    `given` are the rebates that came off them before, and `taken_back` the invoices that took some back: a
    rebate comes off these too. They are nothing that was bought, nor is what takes back other rebates.
    """

    customers: tuple[CustomerId, ...]
    currency: Currency
    starts_on: date
    ends_on: date
    items: tuple[Reference, ...] | None
    given: tuple[CreditNoteId, ...] = ()
    taken_back: tuple[InvoiceId, ...] = ()
    not_bought: tuple[InvoiceId, ...] = ()


class Volume(Value, frozen=True, kw_only=True):
    """What a customer bought in a scope, less what was credited of it since.

    `rebate` is what is in force of those given in the scope, `left` what can still be credited. `is_gross`:
    some of it has prices with VAT.
    """

    customer_id: CustomerId
    net: Money
    quantity: Measure
    rebate: Money
    left: Money
    is_gross: bool


class ToRebate(Value, frozen=True, kw_only=True):
    """A rebate to issue to one customer: `net` off the lines in the scope, in proportion to what is left."""

    customer: Customer
    entity: LegalEntity
    scope: Scope
    net: Money
    why: Rebate
    metadata: Metadata = {}
