"""Credit notes: numbered documents that reduce an issued invoice. Their amounts are positive.

issued                                   the document never changes, and is answered by an invoice if wrong

unused ──▶ partly_used ──▶ used          its settlement: applied to an invoice, refunded, or still there
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from billing.invoices.model import Collection, DocumentReference, InvoiceId, LineId
from billing.parties.model import (
    Buyer,
    CustomerId,
    Language,
    LegalEntityId,
    Metadata,
    RefundMode,
    Seller,
    VatDue,
)
from billing.tax.model import GroupTax, TaxBehavior, TaxGroup
from kernel.decimals import Measure, Quantity, Rate, UnitPrice
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.periods import Period
from kernel.structs import Input, Value
from kernel.text import Name, Note, Reference


class CreditNoteId(Id, prefix="cn", logged=True):
    """A credit note (avoir)."""


class CreditNoteLineId(Id, prefix="cnl"):
    """A line of a credit note."""


class Reason(StrEnum):
    BILLING_ERROR = "billing_error"
    CANCELLATION = "cancellation"
    RETURN_OR_DISPUTE = "return_or_dispute"
    COMMERCIAL_GESTURE = "commercial_gesture"
    REBATE = "rebate"
    EARLY_PAYMENT = "early_payment"
    DUPLICATE = "duplicate"
    FRAUD = "fraud"
    OTHER = "other"


class Modality(StrEnum):
    """How the customer gets what is credited, as the page of the note says it."""

    TRANSFER = "transfer"
    CARD = "card"
    DEDUCTION = "deduction"  # from invoices, those to come among them
    VOUCHER = "voucher"


# They lower the price of what was sold, and not how much of it: rebates are counted as before.
LEAVES_VOLUME = frozenset({Reason.REBATE, Reason.EARLY_PAYMENT})


class Status(StrEnum):
    UNUSED = "unused"
    PARTLY_USED = "partly_used"
    USED = "used"


class CreditLine(Value, frozen=True, kw_only=True):
    """What is credited of one line of the invoice; `quantity` where it was credited by quantity.

    On no invoice it has no `invoice_line_id`, and a `unit_price` and an `item` of its own.
    In the invoice's prices it is `net + included_tax`: in net prices the latter is nothing. `volume` is what
    it takes off the volume that rebates are counted on, `rebate_ended` the part of them that goes with it.
    """

    id: CreditNoteLineId
    invoice_line_id: LineId | None
    item: Reference | None = None
    description: Name
    unit_price: UnitPrice | None = None
    quantity: Measure | None
    period: Period | None
    included_tax: Money
    net: Money
    volume: Money
    rebate_ended: Money
    tax: TaxGroup

    @property
    def amount(self) -> Money:
        return self.net + self.included_tax


class Destination(Value, frozen=True, kw_only=True):
    """Where the note was to go when it was issued: what its page says. The parts add up to its total.

    To its own unpaid invoice, back through the provider, back by hand, or to the customer's balance.
    """

    to_invoice: Money
    to_provider: Money
    by_hand: Money
    to_balance: Money


class CreditNoteSettlement(Value, frozen=True, kw_only=True):
    """Where the note went. `promised` goes back by hand, `held` is on its way back, `left` is spendable.

    `marked` was used where we do not see it, as somebody has said.

    `applied + refunded + held + promised + marked + left = total`
    """

    status: Status
    applied: Money
    refunded: Money
    held: Money
    promised: Money
    marked: Money
    left: Money

    @property
    def used(self) -> Money:
        """What has gone for good: its VAT is due no more."""
        return self.applied + self.refunded + self.marked


class CreditNoteSource(Value, frozen=True, kw_only=True):
    """What a note takes off one invoice: first off what had not been paid of it, `to_invoice`."""

    invoice_id: InvoiceId
    number: str
    issued_on: date
    net: Money
    tax: Money
    total: Money
    to_invoice: Money


class Rebate(Value, frozen=True, kw_only=True):
    """Why a rebate is what it is: the contract, the period, and the volume that earned it.

    `volume` is an amount, or a `quantity` where the contract counts units; `rate` is that of the tier it
    reached. `earned` is the rebate of the whole period so far, and `settled_before` what earlier notes gave;
    `carried` is what earlier periods left, below zero where they had given too much.
    """

    contract_id: str
    reference: Reference
    name: Name
    starts_on: date
    ends_on: date
    marginal: bool
    volume: Money
    quantity: Measure | None
    rate: Rate
    earned: Money
    settled_before: Money
    carried: Money
    invoices: int
    lines: int


class CreditNote(Value, frozen=True, kw_only=True):
    """On one invoice, on none, or a rebate over many, of which `rebate` says what it is for.

    `modality` is what its page calls the way it is given back: of notes before November 2026 it is null.
    `reversed_by` is the invoice that takes it back, where it was wrong.
    `references` are the invoices that one on none has been attached to since.
    `sources` are the invoices it is on. Of a rebate the first thousand are shown, and as many lines.
    `corrected_by` is the invoice that was issued with it, in place of the one it takes back. One that was
    `imported` was issued elsewhere, under a number that is not of our series.
    """

    id: CreditNoteId
    number: str
    legal_entity_id: LegalEntityId
    customer_id: CustomerId
    invoice_id: InvoiceId | None
    invoice_number: str | None
    invoice_issued_on: date | None
    sources: tuple[CreditNoteSource, ...]
    rebate: Rebate | None
    modality: Modality | None
    currency: Currency
    language: Language
    issued_on: date
    seller: Seller
    buyer: Buyer
    vat_due: VatDue
    time_zone: str
    reason: Reason
    reason_text: str | None
    refund_mode: RefundMode
    refund_on: date | None
    destination: Destination
    tax_behavior: TaxBehavior
    lines: tuple[CreditLine, ...]
    taxes: tuple[GroupTax, ...]
    net: Money
    tax: Money
    total: Money
    metadata: dict[str, str]
    issued_at: datetime
    settlement: CreditNoteSettlement
    corrected_by: InvoiceId | None = None
    references: tuple[DocumentReference, ...] = ()
    reversed_by: InvoiceId | None = None
    imported: bool = False


class Refunding(Value, frozen=True, kw_only=True):
    """How what was paid is to go back: the mode, the day, and how much the provider can carry.

    Up to `keep` of it does not: it is for the invoice `kept_for`, which takes the place of the one credited.
    """

    mode: RefundMode
    due_on: date
    by_provider: Money
    keep: Money | None = None
    kept_for: InvoiceId | None = None


class NewCreditLine(Input, frozen=True, kw_only=True):
    """One line to credit: by an amount, by quantity, or with neither all that is left.

    The amount is net or gross, as the prices of the invoice are; `net` says the same, where they are net.
    """

    line: LineId
    amount: Money | None = None
    net: Money | None = None
    quantity: Measure | None = None


class CreditShare(NewCreditLine, frozen=True, kw_only=True):
    """A share of a line, by what was billed for it: what was taken off the line since ends with it."""

    share: Money


class NewCreditNote(Input, frozen=True, kw_only=True):
    """All that is left of the invoice is credited; or `lines`, or an amount, or a share of each line.

    `total` is an amount with its VAT, spread over what is left of the lines; `percent` is taken of each line
    as it was billed. `net_of_tax` leaves the VAT that was invoiced as it is (CGI art. 272); a `total` is then
    without VAT. `refund` overrides the tenant's refund mode; `refund_on` is the day of a deferred refund.
    `modality` is printed, and follows from where the money goes unless it is said. With `release_lines` what
    is credited of each line can be billed again, once, by a draft that names it.
    """

    reason: Reason
    reason_text: Note | None = None
    lines: Annotated[list[NewCreditLine], msgspec.Meta(min_length=1, max_length=1000)] | None = None
    refund: RefundMode | None = None
    refund_on: date | None = None
    metadata: Metadata = {}
    total: Money | None = None
    percent: Rate | None = None
    net_of_tax: bool = False
    modality: Modality | None = None
    release_lines: bool = False


class NewNoteLine(Input, frozen=True, kw_only=True):
    """A line of a note that is on no invoice: free, or of the catalogue.

    `item` says what it is for. Where the `unit_price` is left out, it is the reference of a plan or an
    add-on, and what that costs is credited, with its VAT; its name is the description unless there is one. A
    free line without `tax_rate` takes the customer's, or else the legal entity's.
    """

    description: Name | None = None
    unit_price: UnitPrice | None = None
    quantity: Quantity = Quantity(1)
    item: Reference | None = None
    tax_rate: str | None = None


class NewGlobalCreditNote(Input, frozen=True, kw_only=True):
    """A credit note to a customer, on no one invoice.

    Prices are without VAT or with it, as `tax_behavior` says, or else the settings; `net_of_tax` credits them
    without VAT. It is balance to be applied to invoices; with `refund: manual` it is promised to go back by
    hand. There is no payment that a provider could carry back.
    """

    customer: str
    currency: Currency
    lines: Annotated[list[NewNoteLine], msgspec.Meta(min_length=1, max_length=1000)]
    reason: Reason
    reason_text: Note | None = None
    tax_behavior: TaxBehavior | None = None
    net_of_tax: bool = False
    refund: RefundMode = RefundMode.NONE
    modality: Modality | None = None
    metadata: Metadata = {}


class NewAttachment(Input, frozen=True, kw_only=True):
    """The invoices that a credit note on no invoice is about, or no longer."""

    invoices: Annotated[list[InvoiceId], msgspec.Meta(min_length=1, max_length=100)]


class NewReversal(Input, frozen=True, kw_only=True):
    """Take a wrong credit note back by an invoice, of the same lines and exactly the same VAT.

    What is left of the note pays it; what is due after that is collected as `collection` says.
    """

    note: Note | None = None
    collection: Collection = Collection.SEND_INVOICE
    metadata: Metadata = {}


class NoteToApply(Input, frozen=True, kw_only=True):
    """A credit note, and how much of it: without `amount` as much as goes."""

    credit_note: CreditNoteId
    amount: Money | None = None
