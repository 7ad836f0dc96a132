"""Invoices.

draft ──issue──▶ issued          the document: once issued it never changes, and only then has a number

open ──▶ partly_settled ──▶ settled      its settlement: what of it has been paid or credited
  └───────────┴──▶ written_off           (of a later step)
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, TypeAlias

import msgspec

from billing.parties.model import (
    Buyer,
    CustomerId,
    Language,
    LegalEntityId,
    Metadata,
    Seller,
    VatDue,
)
from billing.tax.model import GroupTax, TaxBehavior, TaxGroup
from kernel.decimals import Measure, Quantity, Rate, UnitPrice
from kernel.ids import Id
from kernel.money import Currency, Money, total
from kernel.periods import Period
from kernel.structs import Input, Value
from kernel.text import Name, Note, Reference


class InvoiceId(Id, prefix="inv", logged=True):
    """An invoice, draft or issued: issuing keeps the id."""


class LineId(Id, prefix="line"):
    """A line of an issued invoice."""


class ReleasedLineId(Id, prefix="rln"):
    """What a credit note took off a line, to be billed again."""


class Collection(StrEnum):
    """Whether the customer's payment method is charged, or the invoice sent to be paid."""

    AUTOMATIC = "automatic"
    SEND_INVOICE = "send_invoice"


class Status(StrEnum):
    OPEN = "open"
    PARTLY_SETTLED = "partly_settled"
    SETTLED = "settled"
    WRITTEN_OFF = "written_off"


class InvoiceKind(StrEnum):
    """What an invoice is for. Each is a document of its own, in the series of its seller's invoices."""

    STANDARD = "standard"
    DEPOSIT = "deposit"  # money in advance (acompte)
    FINAL = "final"  # everything, less the deposits that it deducts
    CORRECTED = "corrected"  # in place of an invoice that a credit note has taken back
    REVERSAL = "reversal"  # takes back a wrong credit note
    IMPORTED = "imported"  # issued elsewhere, under a number that is not of our series


class DocumentKind(StrEnum):
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class DocumentReference(Value, frozen=True, kw_only=True):
    """An earlier document that this one refers to, as its page names it (EN 16931 BG-3)."""

    kind: DocumentKind
    id: str
    number: str
    issued_on: date


class DepositDeduction(Value, frozen=True, kw_only=True):
    """A deposit as the final invoice deducts it: per VAT group, as invoiced less what was credited."""

    invoice_id: InvoiceId
    number: str
    issued_on: date
    taxes: tuple[GroupTax, ...]
    net: Money
    tax: Money
    total: Money


class Allowance(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A part of a discount that came off one line (EN 16931 BG-27). `source` says whose it is."""

    source: str
    name: str
    amount: Money


class PricedLine(Value, frozen=True, kw_only=True):
    """A line before it is issued: what it costs, what came off it, and the VAT it falls under.

    `waived` is the VAT that a gross price was made with and this customer is not charged. `item` is what the
    line is for (EN 16931 BT-155): the reference of a plan or an add-on, or the seller's own.
    """

    description: Name
    quantity: Measure
    unit_price: UnitPrice
    amount: Money
    allowances: tuple[Allowance, ...] = ()
    tax: TaxGroup
    waived: TaxGroup | None = None
    recurring: bool = False
    period: Period | None = None
    item: Reference | None = None
    discountable: bool = True

    @property
    def discount(self) -> Money:
        return total([allowance.amount for allowance in self.allowances], self.amount.currency)

    @property
    def billed(self) -> Money:
        """Net or gross, as prices are."""
        return self.amount - self.discount if self.allowances else self.amount


class Line(Value, frozen=True, kw_only=True):
    """A line as issued: `net = amount - discount - included_tax`; `discount` is the sum of its allowances.

    In gross prices `included_tax` is its share of the VAT of its group, in net ones nothing. `item` is the
    reference of the plan or add-on it is for, or the seller's own.
    """

    id: LineId
    item: Reference | None
    description: Name
    quantity: Measure
    unit_price: UnitPrice
    recurring: bool
    period: Period | None
    amount: Money
    discount: Money
    included_tax: Money
    net: Money
    allowances: tuple[Allowance, ...]
    discountable: bool
    tax: TaxGroup

    @property
    def billed(self) -> Money:
        """What credits of the line are measured against: net or gross, as the invoice's prices are."""
        return self.amount - self.discount if self.allowances else self.amount


class InvoiceSettlement(Value, frozen=True, kw_only=True):
    """`due = total - paid - offset`. `pending` is a payment in flight, `credited` the notes issued on it.

    Deposits that it deducts are `paid`. `deducted_by` is of a deposit: the invoice that deducts it.
    """

    status: Status
    paid: Money
    offset: Money
    pending: Money
    credited: Money
    due: Money
    settled_at: datetime | None
    deducted_by: InvoiceId | None = None


class Rejection(Value, frozen=True, kw_only=True):
    """The e-invoicing platform refused the invoice: when, why, and the note that answered it."""

    rejected_on: date
    reason_code: str | None
    reason_text: str
    platform_reference: str | None
    credit_note_id: str | None


class Invoice(Value, frozen=True, kw_only=True):
    """An issued invoice with the state of its settlement.

    `references` are earlier documents that it names, `corrected_by` is the one that stands in its place.
    """

    id: InvoiceId
    number: str
    legal_entity_id: LegalEntityId
    customer_id: CustomerId
    currency: Currency
    language: Language
    issued_on: date
    due_on: date
    seller: Seller
    buyer: Buyer
    vat_due: VatDue
    time_zone: str
    collection: Collection
    tax_behavior: TaxBehavior
    lines: tuple[Line, ...]
    taxes: tuple[GroupTax, ...]
    net: Money
    tax: Money
    total: Money
    note: str | None
    metadata: dict[str, str]
    issued_at: datetime
    settlement: InvoiceSettlement
    kind: InvoiceKind = InvoiceKind.STANDARD
    references: tuple[DocumentReference, ...] = ()
    corrected_by: InvoiceId | None = None
    rejection: Rejection | None = None
    deductions: tuple[DepositDeduction, ...] = ()

    @property
    def to_pay(self) -> Money:
        """What the deposits that it deducts leave to pay."""
        return self.total - total((each.total for each in self.deductions), self.currency)


class NewLine(Input, frozen=True, kw_only=True):
    """A free line. Without `tax_rate` it takes the customer's, or else the legal entity's.

    `item` says what it is for, as the line of a plan does; rebate programmes can be about it.
    """

    description: Name
    unit_price: UnitPrice
    quantity: Quantity = Quantity(1)
    item: Reference | None = None
    tax_rate: str | None = None


class NewDiscount(Input, frozen=True, kw_only=True):
    """Off the whole draft, spread over its lines: a percentage, or an amount, net or gross as prices are."""

    name: Name
    percent: Rate | None = None
    amount: Money | None = None


class NewPeriod(Input, frozen=True, kw_only=True):
    """Half-open: what begins at `end` is of the next period."""

    start: Annotated[datetime, msgspec.Meta(tz=True)]
    end: Annotated[datetime, msgspec.Meta(tz=True)]


class CorrectedLine(Input, frozen=True, kw_only=True):
    """A line of the invoice that is corrected, `line`, with what is to be different; or another line.

    Of a line whose amount changes, its discounts change in proportion. Another line needs a `description` and
    a `unit_price`. A `recurring` line is paid in advance for its `period`: what is not used of it is credited
    when the subscription changes or ends.
    """

    line: LineId | None = None
    description: Name | None = None
    unit_price: UnitPrice | None = None
    quantity: Quantity | None = None
    item: Reference | None = None
    tax_rate: str | None = None
    period: NewPeriod | None = None
    recurring: bool | None = None


class DraftKind(StrEnum):
    """What is asked for: everything, or money in advance."""

    STANDARD = "standard"
    DEPOSIT = "deposit"


Deposits: TypeAlias = Annotated[list[InvoiceId], msgspec.Meta(max_length=20)]
ReleasedLines: TypeAlias = Annotated[list[ReleasedLineId], msgspec.Meta(max_length=1000)]


class NewDraft(Input, frozen=True, kw_only=True):
    """An invoice to be: free lines and discounts. Edit it as often as you like, then issue it.

    Its prices and discounts are without VAT or with it, as `tax_behavior` says, or else the settings. Of
    `kind` deposit it is issued as a deposit invoice (acompte). With `deposits` it is issued as the final
    invoice: with all its lines and their VAT, less these deposits, which have been settled by then.
    `released_lines` are further lines: what credit notes released, for what it was credited at and with the
    VAT it was billed with; discounts are taken off the `lines` alone. It has one line at least.
    """

    customer: str
    currency: Currency
    lines: Annotated[list[NewLine], msgspec.Meta(max_length=1000)] = []
    discounts: Annotated[list[NewDiscount], msgspec.Meta(max_length=20)] = []
    tax_behavior: TaxBehavior | None = None
    note: Note | None = None
    metadata: Metadata = {}
    kind: DraftKind = DraftKind.STANDARD
    deposits: Deposits = []
    released_lines: ReleasedLines = []


class DraftChange(Input, frozen=True, kw_only=True):
    """Only the fields that are sent change; each list that is sent is replaced as a whole."""

    customer: str | msgspec.UnsetType = msgspec.UNSET
    lines: Annotated[list[NewLine], msgspec.Meta(max_length=1000)] | msgspec.UnsetType = msgspec.UNSET
    discounts: Annotated[list[NewDiscount], msgspec.Meta(max_length=20)] | msgspec.UnsetType = msgspec.UNSET
    tax_behavior: TaxBehavior | msgspec.UnsetType = msgspec.UNSET
    note: Note | msgspec.UnsetType | None = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType = msgspec.UNSET
    kind: DraftKind | msgspec.UnsetType = msgspec.UNSET
    deposits: Deposits | msgspec.UnsetType = msgspec.UNSET
    released_lines: ReleasedLines | msgspec.UnsetType = msgspec.UNSET


class Draft(Value, frozen=True, kw_only=True):
    """A draft has no number and no legal meaning. A dry run of issuing it shows what it comes to."""

    id: InvoiceId
    customer_id: CustomerId
    currency: Currency
    lines: tuple[NewLine, ...]
    discounts: tuple[NewDiscount, ...]
    tax_behavior: TaxBehavior
    note: str | None
    metadata: dict[str, str]
    created_at: datetime
    kind: DraftKind = DraftKind.STANDARD
    deposits: tuple[InvoiceId, ...] = ()
    released_lines: tuple[ReleasedLineId, ...] = ()

    @property
    def invoice_kind(self) -> InvoiceKind:
        """What it is issued as."""
        if self.deposits:
            return InvoiceKind.FINAL
        return InvoiceKind.DEPOSIT if self.kind is DraftKind.DEPOSIT else InvoiceKind.STANDARD
