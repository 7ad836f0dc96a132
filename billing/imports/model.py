"""Documents that were issued elsewhere, and are listed, paid, credited and settled here like our own."""

from datetime import date
from typing import Annotated, ClassVar, Self

import msgspec

from billing.credit_notes.model import CreditNote, Reason
from billing.invoices.model import Invoice, InvoiceId, LineId
from billing.invoices.ready import Ready
from billing.parties.model import Metadata
from billing.payments.model import OutsideMeans, Payment
from billing.tax.model import Category, TaxBehavior, TaxGroup
from kernel.decimals import Quantity, Rate
from kernel.money import Currency, Money
from kernel.structs import Input, Value
from kernel.text import Name, Note, Reference

LONGEST_NUMBER = 35


class DocumentNumber(Name):
    """The number of a document issued elsewhere: whatever its series looks like, in one line of text."""

    __slots__ = ()
    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "minLength": 1,
        "maxLength": LONGEST_NUMBER,
        "examples": ["2025/0042"],
        "description": "The number it has where it was issued.",
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        number = super().parse(text)
        if len(number) > LONGEST_NUMBER:
            raise ValueError(f"A document's number has at most {LONGEST_NUMBER} characters")
        return number


class ImportedGroup(Input, frozen=True, kw_only=True):
    """What a line was taxed at. Every category but S and Z needs the reason that is printed there."""

    rate: Rate
    category: Category = Category.STANDARD
    reason: Name | None = None

    @property
    def group(self) -> TaxGroup:
        return TaxGroup(self.category, self.rate, self.reason or "")


class ImportedLine(Input, frozen=True, kw_only=True):
    """A line as it is printed: `amount` is after its discounts, net or gross as `tax_behavior` says.

    `item` says what it is for, as on other lines; rebate programmes can be about it.
    """

    description: Name
    amount: Money
    quantity: Quantity = Quantity(1)
    item: Reference | None = None
    tax: ImportedGroup


class ImportedTax(Input, frozen=True, kw_only=True):
    """The VAT of one rate as it is printed: on what, and how much."""

    group: ImportedGroup
    base: Money
    tax: Money


class ImportedPayment(Input, frozen=True, kw_only=True):
    """What had been paid on it before it was imported, and when."""

    amount: Money
    received_on: date
    means: OutsideMeans = OutsideMeans.OTHER
    reference: Name | None = None


class NewImportedInvoice(Input, frozen=True, kw_only=True):
    """An invoice issued elsewhere, as it is printed there. Its seller is the customer's.

    Without `taxes` the VAT is what the rates come to. With them it is what they say, as long as it adds up
    and could come of the rates, rounded per line or in all. `dunning` has it dunned although it was overdue
    already; what falls due later is dunned in any case.
    """

    customer: str
    number: DocumentNumber
    issued_on: date
    due_on: date
    currency: Currency
    lines: Annotated[list[ImportedLine], msgspec.Meta(min_length=1, max_length=1000)]
    taxes: Annotated[list[ImportedTax], msgspec.Meta(max_length=20)] | None = None
    tax_behavior: TaxBehavior = TaxBehavior.EXCLUSIVE
    payments: Annotated[list[ImportedPayment], msgspec.Meta(max_length=20)] = []
    dunning: bool = False
    note: Note | None = None
    metadata: Metadata = {}


class ImportedCreditLine(Input, frozen=True, kw_only=True):
    """A line of a credit note as it is printed.

    On an invoice it names the `line` that it takes something off, and is taxed as that one is; on none it
    says what it is taxed at.
    """

    description: Name
    amount: Money
    line: LineId | None = None
    tax: ImportedGroup | None = None
    quantity: Quantity = Quantity(1)
    item: Reference | None = None


class NewImportedCreditNote(Input, frozen=True, kw_only=True):
    """A credit note issued elsewhere: on an `invoice`, imported or not, or on none, for a `customer`.

    On an invoice, `currency` and `tax_behavior` are that one's, and it takes off first what is due there.
    `used` is how much of it had been used where it was issued, on that invoice or otherwise; what is left is
    the customer's balance. Without `taxes` the VAT is what the rates come to.
    """

    number: DocumentNumber
    issued_on: date
    reason: Reason
    reason_text: Note | None = None
    invoice: InvoiceId | None = None
    customer: str | None = None
    currency: Currency | None = None
    lines: Annotated[list[ImportedCreditLine], msgspec.Meta(min_length=1, max_length=1000)]
    taxes: Annotated[list[ImportedTax], msgspec.Meta(max_length=20)] | None = None
    tax_behavior: TaxBehavior = TaxBehavior.EXCLUSIVE
    used: Money | None = None
    metadata: Metadata = {}


class NewImportedCreditNotes(Input, frozen=True, kw_only=True):
    """Up to 200 at once: all of them are imported, or none."""

    credit_notes: Annotated[list[NewImportedCreditNote], msgspec.Meta(min_length=1, max_length=200)]


class ImportedCreditNotes(Value, frozen=True, kw_only=True):
    """In the order in which they were sent."""

    credit_notes: tuple[CreditNote, ...]


class NewImportedInvoices(Input, frozen=True, kw_only=True):
    """Up to 1000 at once: all of them are imported, or none."""

    invoices: Annotated[list[NewImportedInvoice], msgspec.Meta(min_length=1, max_length=1000)]


class ImportedInvoices(Value, frozen=True, kw_only=True):
    """In the order in which they were sent."""

    invoices: tuple[Invoice, ...]


class Imported(Value, frozen=True, kw_only=True):
    """An invoice with its number and days, what was paid on it, and whether its dunning is to begin."""

    ready: Ready
    number: DocumentNumber
    issued_on: date
    due_on: date
    payments: tuple[Payment, ...]
    paid: Money
    dunned: bool
