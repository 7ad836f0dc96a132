"""Values for tests, with defaults: a test shows only the facts that matter to it.

Amounts are consistent: they are added up by the same functions as in the house.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TypedDict, Unpack

from msgspec.structs import replace

from billing.credit_notes import model as credit_notes
from billing.credit_notes.model import (
    CreditLine,
    CreditNote,
    CreditNoteId,
    CreditNoteLineId,
    CreditNoteSource,
    Destination,
    Modality,
    Reason,
)
from billing.invoices import model as invoices
from billing.invoices import totals
from billing.invoices.model import (
    Collection,
    DocumentReference,
    Invoice,
    InvoiceId,
    InvoiceKind,
    Line,
    LineId,
    PricedLine,
)
from billing.parties.model import (
    Address,
    Customer,
    CustomerId,
    Language,
    LegalEntityId,
    RefundMode,
    Seller,
    VatDue,
)
from billing.tax import rules
from billing.tax.model import Category, TaxBehavior, TaxGroup
from kernel.decimals import Quantity, Rate, UnitPrice
from kernel.money import Currency, Money, total, zero
from kernel.periods import Period
from kernel.text import Country, Email, Name, Reference

EUR = Currency("EUR")
NOON = datetime(2026, 1, 15, 11, 0, tzinfo=UTC)  # noon in Paris
JANUARY = Period(datetime(2025, 12, 31, 23, tzinfo=UTC), datetime(2026, 1, 31, 23, tzinfo=UTC))

REVERSE_CHARGE = TaxGroup(Category.REVERSE_CHARGE, Rate(0), "Autoliquidation, art. 283-2 du CGI")


def euros(minor: int) -> Money:
    return Money(minor, EUR)


def vat(percent: str) -> TaxGroup:
    return TaxGroup(Category.STANDARD, Rate.parse(percent))


# ── Sellers and buyers ───────────────────────────────────────────────────────────────────────────


class SellerFields(TypedDict, total=False):
    name: Name
    siren: Name | None
    vat_number: Name | None
    address: Address
    iban: Name | None
    bic: Name | None


def an_address(
    line1: str = "12 rue des Lilas",
    postal_code: str = "75011",
    city: str = "Paris",
    country: str = "FR",
) -> Address:
    return Address(
        line1=Name(line1), postal_code=Name(postal_code), city=Name(city), country=Country(country)
    )


def a_seller(**fields: Unpack[SellerFields]) -> Seller:
    seller = Seller(
        name=Name("Nuage Clair"),
        legal_form=Name("SAS"),
        share_capital=Name("10 000 €"),
        siren=Name("303265045"),
        registration=Name("RCS Nantes 303 265 045"),
        vat_number=Name("FR40303265045"),
        address=an_address("8 quai de la Fosse", "44000", "Nantes"),
        email=Email("facturation@nuage-clair.example"),
        iban=Name("FR7630006000011234567890189"),
        bic=Name("AGRIFRPP"),
    )
    return replace(seller, **fields)


class CustomerFields(TypedDict, total=False):
    id: CustomerId
    name: Name
    email: Email
    language: Language
    address: Address
    vat_number: str | None
    payment_method: str | None


def a_customer(**fields: Unpack[CustomerFields]) -> Customer:
    customer = Customer(
        id=CustomerId.new(),
        name=Name("Atelier Bœuf & Cœur"),
        email=Email("compta@atelier.example"),
        language=Language.FRENCH,
        address=an_address(),
        vat_number=None,
        siren=None,
        payment_method=None,
        reference=Reference("user-42"),
        legal_entity_id=LegalEntityId.new(),
        tax_rate_id=None,
        metadata={},
        created_at=NOON,
    )
    return replace(customer, **fields)


# ── Lines ────────────────────────────────────────────────────────────────────────────────────────


def a_line(
    description: str = "Abonnement Pro",
    price: str = "100.00",
    quantity: str = "1",
    *,
    tax: TaxGroup | None = None,
    period: Period | None = JANUARY,
    currency: Currency = EUR,
) -> PricedLine:
    many = Quantity.parse(quantity)
    unit_price = UnitPrice.parse(price)
    return PricedLine(
        description=Name(description),
        quantity=many,
        unit_price=unit_price,
        amount=unit_price.times(many, currency),
        tax=tax or vat("20"),
        recurring=period is not None,
        period=period,
    )


def with_discount(lines: Sequence[PricedLine], minor: int, name: str = "Bienvenue") -> list[PricedLine]:
    """A fixed discount, shared out over the lines."""
    amount = Money(minor, lines[0].amount.currency)
    return totals.spread(lines, amount, source="discount-1", name=name)


def three_lines() -> list[PricedLine]:
    """A 100.00 and C 30.00 at 20 %, B 50.00 at 5.5 %, 25.00 off: 155.00 + 24.76 = 179.76."""
    lines = [
        a_line("Abonnement Pro", "100.00"),
        a_line("Livre numérique", "50.00", tax=vat("5.5"), period=None),
        a_line("Postes supplémentaires", "10.00", "3"),
    ]
    return with_discount(lines, 25_00)


# ── Documents ────────────────────────────────────────────────────────────────────────────────────


class InvoiceFields(TypedDict, total=False):
    number: str
    language: Language
    seller: Seller
    vat_due: VatDue
    collection: Collection
    note: str | None
    kind: InvoiceKind
    references: tuple[DocumentReference, ...]


def an_invoice(
    lines: Sequence[PricedLine] | None = None,
    *,
    customer: Customer | None = None,
    issued_on: date = date(2026, 1, 15),
    tax_behavior: TaxBehavior = TaxBehavior.EXCLUSIVE,
    **fields: Unpack[InvoiceFields],
) -> Invoice:
    """Issued and not yet paid; one of 0.00 is settled."""
    priced = three_lines() if lines is None else lines
    currency = priced[0].amount.currency
    adds_up = totals.totals_of(priced, currency, tax_behavior)
    buyer = customer or a_customer()
    invoice = Invoice(
        number="F2026-000001",
        language=buyer.language,
        seller=a_seller(),
        vat_due=VatDue.ON_PAYMENT,
        time_zone="Europe/Paris",
        collection=Collection.SEND_INVOICE,
        note=None,
        id=InvoiceId.new(),
        legal_entity_id=buyer.legal_entity_id,
        customer_id=buyer.id,
        currency=currency,
        issued_on=issued_on,
        due_on=issued_on + timedelta(days=30),
        buyer=buyer.buyer,
        tax_behavior=adds_up.tax_behavior,
        lines=tuple(_issued(*each) for each in zip(adds_up.lines, adds_up.included_tax, strict=True)),
        taxes=adds_up.taxes,
        net=adds_up.net,
        tax=adds_up.tax,
        total=adds_up.total,
        metadata={},
        issued_at=NOON,
        settlement=_unpaid(adds_up.total),
    )
    return replace(invoice, **fields)


def _issued(line: PricedLine, included_tax: Money) -> Line:
    return Line(
        id=LineId.new(),
        item=line.item,
        description=line.description,
        quantity=line.quantity,
        unit_price=line.unit_price,
        recurring=line.recurring,
        period=line.period,
        amount=line.amount,
        discount=line.discount,
        included_tax=included_tax,
        net=line.billed - included_tax,
        allowances=line.allowances,
        discountable=line.discountable,
        tax=line.tax,
    )


def _unpaid(amount: Money) -> invoices.InvoiceSettlement:
    nothing = zero(amount.currency)
    return invoices.InvoiceSettlement(
        status=totals.status_of(total=amount, settled=nothing),
        paid=nothing,
        offset=nothing,
        pending=nothing,
        credited=nothing,
        due=amount,
        settled_at=None if amount else NOON,
    )


class CreditNoteFields(TypedDict, total=False):
    number: str
    reason: Reason
    reason_text: str | None
    refund_mode: RefundMode
    refund_on: date | None
    modality: Modality | None
    destination: Destination
    issued_on: date


def a_credit_note(
    invoice: Invoice | None = None,
    lines: Sequence[CreditLine] | None = None,
    **fields: Unpack[CreditNoteFields],
) -> CreditNote:
    """The first one on its invoice, of all of it unless told otherwise; nothing is used of it."""
    invoice = invoice or an_invoice()
    lines = [a_credit_line(line) for line in invoice.lines] if lines is None else lines
    amounts = rules.amounts_of(((line.tax, line.amount) for line in lines), invoice.currency)
    taxes = rules.taxes_credited(amounts, {}, invoice.tax_behavior, billed=invoice.taxes)
    net = total((line.net for line in lines), invoice.currency)
    tax = total((group.tax for group in taxes), invoice.currency)
    note = CreditNote(
        number="A2026-000001",
        reason=Reason.CANCELLATION,
        reason_text=None,
        refund_mode=RefundMode.AUTOMATIC,
        refund_on=None,
        destination=goes_back(net + tax),
        issued_on=date(2026, 1, 20),
        id=CreditNoteId.new(),
        legal_entity_id=invoice.legal_entity_id,
        customer_id=invoice.customer_id,
        invoice_id=invoice.id,
        invoice_number=invoice.number,
        invoice_issued_on=invoice.issued_on,
        sources=(
            CreditNoteSource(
                invoice_id=invoice.id,
                number=invoice.number,
                issued_on=invoice.issued_on,
                net=net,
                tax=tax,
                total=net + tax,
                to_invoice=zero(invoice.currency),
            ),
        ),
        rebate=None,
        modality=None,
        currency=invoice.currency,
        language=invoice.language,
        seller=invoice.seller,
        buyer=invoice.buyer,
        vat_due=invoice.vat_due,
        time_zone=invoice.time_zone,
        tax_behavior=invoice.tax_behavior,
        lines=tuple(lines),
        taxes=taxes,
        net=net,
        tax=tax,
        total=net + tax,
        metadata={},
        issued_at=NOON,
        settlement=_unused(net + tax),
    )
    return replace(note, **fields)


def goes_back(amount: Money) -> Destination:
    """All of it through the provider."""
    nothing = zero(amount.currency)
    return Destination(to_invoice=nothing, to_provider=amount, by_hand=nothing, to_balance=nothing)


def a_credit_line(line: Line, net: Money | None = None, *, quantity: Quantity | None = None) -> CreditLine:
    return CreditLine(
        id=CreditNoteLineId.new(),
        invoice_line_id=line.id,
        description=line.description,
        quantity=quantity,
        period=line.period,
        included_tax=zero(line.net.currency) if net else line.included_tax,
        net=net or line.net,
        volume=net or line.billed,
        rebate_ended=zero(line.net.currency),
        tax=line.tax,
    )


def _unused(amount: Money) -> credit_notes.CreditNoteSettlement:
    nothing = zero(amount.currency)
    return credit_notes.CreditNoteSettlement(
        status=credit_notes.Status.UNUSED,
        applied=nothing,
        refunded=nothing,
        held=nothing,
        promised=nothing,
        marked=nothing,
        left=amount,
    )
