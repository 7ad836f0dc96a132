"""What stands on the page of a document: every word and figure of it, in order, as text. Pure.

Only what was frozen at issue is printed. What is paid or applied later is not, so the amount due is
the total, and the page is the same whenever it is rendered.
"""

from collections.abc import Sequence
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import msgspec

from billing.credit_notes.model import CreditLine, CreditNote, Rebate
from billing.documents.formats import Formats, in_fours
from billing.documents.terms import payment_terms, refund_terms, to_pay
from billing.documents.words import WORDS, Words
from billing.invoices.model import Collection, Invoice, InvoiceKind, Line
from billing.parties.model import Buyer, Language, Seller, VatDue
from billing.settlement.model import Deduction, Receipt
from billing.tax.model import NET_OF_TAX, GroupTax, TaxBehavior, TaxGroup
from kernel.decimals import Measure
from kernel.money import Currency, Money, zero
from kernel.periods import local_date
from kernel.structs import Value

# More invoices than that are not listed one by one on the page of a rebate.
MOST_SOURCES = 60


class Fact(Value, frozen=True):
    label: str
    text: str


class Row(Value, frozen=True, kw_only=True):
    """A line: its description with what belongs under it, then one cell per further column."""

    description: str
    details: list[str]
    cells: list[str]


class Table(Value, frozen=True):
    columns: list[str]
    rows: list[Row]


class Tax(Value, frozen=True, kw_only=True):
    """The VAT of one group; `mention` says why where none is charged."""

    cells: list[str]
    mention: str


class Page(Value, frozen=True, kw_only=True):
    language: Language
    issued_on: date
    title: str
    number: str
    page_word: str
    seller: str
    seller_address: list[str]
    seller_identity: list[str]
    buyer_label: str
    buyer: str
    buyer_address: list[str]
    facts: list[Fact]
    columns: list[str]
    rows: list[Row]
    deductions: Table | None
    tax_columns: list[str]
    taxes: list[Tax]
    totals: list[Fact]
    amount: Fact
    payment_label: str
    payment: str
    bank: list[Fact]
    received: Table | None
    mentions: list[str]
    note: str


class Print(Value, frozen=True, kw_only=True):
    """How one document is written: in its language, its currency, its seller's time zone."""

    words: Words
    formats: Formats
    currency: Currency
    zone: ZoneInfo


# ── The two kinds ────────────────────────────────────────────────────────────────────────────────


def of_invoice(invoice: Invoice, deducted: Sequence[Deduction] = ()) -> Page:
    """`deducted` is what credit notes paid on it at the moment it was issued."""
    p = _print(invoice)
    left = to_pay(invoice, deducted)
    words, formats = p.words, p.formats
    prices = words.prices[invoice.tax_behavior]
    discounted = any(line.discount for line in invoice.lines)
    columns = [words.description, words.quantity, prices.unit_price, words.vat, *prices.amounts]
    if discounted:
        columns.insert(3, prices.discount)

    return Page(
        language=invoice.language,
        issued_on=invoice.issued_on,
        title=words.invoices[invoice.kind],
        number=invoice.number,
        page_word=words.page,
        seller=invoice.seller.name,
        seller_address=formats.address(invoice.seller.address),
        seller_identity=_identity(invoice.seller, words),
        buyer_label=words.billed_to,
        buyer=invoice.buyer.name,
        buyer_address=_buyer_address(invoice.buyer, p),
        facts=[
            Fact(words.issued_on, formats.long_date(invoice.issued_on)),
            Fact(words.due_on, formats.long_date(invoice.due_on)),
            *_supplied_on(invoice, p),
            Fact(words.currency, invoice.currency),
            *_refers_to(invoice, p),
        ],
        columns=columns,
        rows=[_row(line, invoice, discounted, p) for line in invoice.lines],
        deductions=_deductions(invoice, p) if invoice.deductions else None,
        tax_columns=[words.vat_rate, words.vat_base, words.vat_amount],
        taxes=_taxes(invoice.taxes, p),
        totals=[*_totals(invoice, p), *_deposits(invoice, p), *(_deduction(each, p) for each in deducted)],
        amount=Fact(words.amount_due, formats.money(left)),
        payment_label=words.payment,
        payment=payment_terms(invoice, deducted),
        bank=_bank(invoice, words) if left else [],
        received=None,
        mentions=_invoice_mentions(invoice, words),
        note=invoice.note or "",
    )


def of_receipt(invoice: Invoice, receipts: Sequence[Receipt]) -> Page:
    """The page of an invoice that is settled, with what settled it, day by day, in place of how to pay it."""
    p = _print(invoice)
    words, unpaid = p.words, of_invoice(invoice)
    ordered = sorted(receipts, key=lambda each: (_day(each, p), each.id))
    paid_on = _day(ordered[-1], p) if ordered else invoice.issued_on
    return msgspec.structs.replace(
        unpaid,
        title=words.receipt.format(title=unpaid.title, of=unpaid.title.lower()),
        amount=Fact(words.still_due, p.formats.money(zero(invoice.currency))),
        payment=words.paid_on.format(date=p.formats.long_date(paid_on)),
        bank=[],
        received=Table(list(words.received), [_received(each, p) for each in ordered]) if ordered else None,
    )


def of_credit_note(note: CreditNote) -> Page:
    p = _print(note)
    words, formats = p.words, p.formats
    table = _credited(note, p) if note.rebate is None else _rebated(note, note.rebate, p)
    text = words.reason_in_full.format(text=note.reason_text) if note.reason_text else ""

    return Page(
        language=note.language,
        issued_on=note.issued_on,
        title=words.credit_note,
        number=note.number,
        page_word=words.page,
        seller=note.seller.name,
        seller_address=formats.address(note.seller.address),
        seller_identity=_identity(note.seller, words),
        buyer_label=words.billed_to,
        buyer=note.buyer.name,
        buyer_address=_buyer_address(note.buyer, p),
        facts=[
            Fact(words.issued_on, formats.long_date(note.issued_on)),
            *_reference(note, p),
        ],
        columns=table.columns,
        rows=table.rows,
        deductions=None,
        tax_columns=[words.vat_rate, words.vat_base, words.vat_amount],
        taxes=_taxes(note.taxes, p),
        totals=_totals(note, p),
        amount=Fact(words.amount_credited, formats.money(note.total)),
        payment_label=words.modalities[note.modality] if note.modality else words.refund,
        payment=refund_terms(note),
        bank=[],
        received=None,
        mentions=_credit_note_mentions(note, words),
        note="\n".join(filter(None, (_earned(note.rebate, p) if note.rebate else "", text))),
    )


def _print(document: Invoice | CreditNote) -> Print:
    return Print(
        words=WORDS[document.language],
        formats=Formats(document.language),
        currency=document.currency,
        zone=ZoneInfo(document.time_zone),
    )


# ── Who ──────────────────────────────────────────────────────────────────────────────────────────


def _identity(seller: Seller, words: Words) -> list[str]:
    """What the law wants to know of the seller besides its name and address."""
    capital = seller.share_capital and f"{words.share_capital} {seller.share_capital}"
    return [
        text
        for text in (
            " ".join(filter(None, (seller.legal_form, capital))),
            seller.siren and f"{words.siren} {seller.siren}",
            seller.registration,
            seller.vat_number and f"{words.vat_number} {seller.vat_number}",
            seller.email,
            seller.phone,
        )
        if text
    ]


def _buyer_address(buyer: Buyer, p: Print) -> list[str]:
    return [
        *p.formats.address(buyer.address),
        *([f"{p.words.siren} {buyer.siren}"] if buyer.siren else []),
        *([f"{p.words.vat_number} {buyer.vat_number}"] if buyer.vat_number else []),
    ]


# ── What ─────────────────────────────────────────────────────────────────────────────────────────


def _supplied_on(invoice: Invoice, p: Print) -> list[Fact]:
    """From the first day to the last that lines cover; without a period it is the day of issue.

    What a deposit is for is still to come, on a day that is not known.
    """
    periods = [line.period for line in invoice.lines if line.period]
    if not periods:
        day = p.formats.long_date(invoice.issued_on)
        return [] if invoice.kind is InvoiceKind.DEPOSIT else [Fact(p.words.supplied_on, day)]
    first = min(periods, key=lambda period: period.start)
    last = max(periods, key=lambda period: period.end)
    days = p.formats.period(type(first)(first.start, last.end), p.zone)
    return [Fact(p.words.supplied_on, days)]


def _refers_to(invoice: Invoice, p: Print) -> list[Fact]:
    """The earlier documents that it corrects or takes back, each with its date.

    The deposits that it deducts are in a table of their own.
    """
    if invoice.deductions:
        return []
    labels = p.words.references[invoice.kind]
    return [
        Fact(
            labels[each.kind],
            p.words.original_invoice_of.format(number=each.number, date=p.formats.long_date(each.issued_on)),
        )
        for each in invoice.references
    ]


def _row(line: Line, invoice: Invoice, discounted: bool, p: Print) -> Row:
    formats = p.formats
    when = [formats.period(line.period, p.zone)] if line.period else []
    if not when and invoice.kind is not InvoiceKind.DEPOSIT:
        when = [formats.short_date(invoice.issued_on)]
    allowances = [
        p.words.allowance.format(name=a.name, amount=formats.number(a.amount)) for a in line.allowances
    ]
    discount = [f"−{formats.number(line.discount)}" if line.discount else ""] if discounted else []
    return Row(
        description=line.description,
        details=[*when, *allowances],
        cells=[
            formats.quantity(line.quantity),
            formats.unit_price(line.unit_price, p.currency),
            *discount,
            _rate(line.tax, p),
            *_amounts(line.net, line.billed, invoice.tax_behavior, p),
        ],
    )


def _reference(note: CreditNote, p: Print) -> list[Fact]:
    """Why, and what the note is on: the original invoice and its date, or a rebate's contract and period."""
    words, formats = p.words, p.formats
    reason = Fact(words.reason, words.reasons[note.reason])
    if note.rebate is None and note.invoice_issued_on is None:
        return [reason, Fact(words.currency, note.currency)]
    if note.rebate is None:
        assert note.invoice_issued_on is not None, "those on no invoice have been told apart"
        original = words.original_invoice_of.format(
            number=note.invoice_number, date=formats.long_date(note.invoice_issued_on)
        )
        return [Fact(words.original_invoice, original), reason, Fact(words.currency, note.currency)]
    last = note.rebate.ends_on - timedelta(days=1)
    days = f"{formats.short_date(note.rebate.starts_on)} – {formats.short_date(last)}"
    return [Fact(words.contract, note.rebate.reference), Fact(words.rebate_period, days), reason]


def _credited(note: CreditNote, p: Print) -> Table:
    """The lines of an invoice that are credited, or those of the note itself, which have prices."""
    prices = p.words.prices[note.tax_behavior]
    by_quantity = any(line.quantity is not None for line in note.lines)
    priced = any(line.unit_price is not None for line in note.lines)
    columns = [
        p.words.description,
        *([p.words.quantity] if by_quantity else []),
        *([prices.unit_price] if priced else []),
        p.words.vat,
        *prices.credited,
    ]
    return Table(columns, [_credit_row(line, note, by_quantity, p) for line in note.lines])


def _rebated(note: CreditNote, rebate: Rebate, p: Print) -> Table:
    """The invoices that a rebate is on; with very many of them what it takes off all, per VAT rate."""
    words, number = p.words, p.formats.number
    columns = [words.description, words.total_net, words.vat_amount, words.total]
    if rebate.invoices <= MOST_SOURCES:
        return Table(
            columns,
            [
                Row(
                    description=words.source.format(
                        number=source.number, date=p.formats.long_date(source.issued_on)
                    ),
                    details=[],
                    cells=[number(source.net), number(source.tax), number(source.total)],
                )
                for source in note.sources
            ],
        )
    days = [p.formats.long_date(day) for day in (rebate.starts_on, rebate.ends_on - timedelta(days=1))]
    invoices = words.sources.format(
        count=p.formats.quantity(Measure(rebate.invoices)), starts=days[0], ends=days[1]
    )
    return Table(
        columns,
        [
            Row(
                description=invoices,
                details=[f"{words.vat} {_rate(tax.group, p)}"],
                cells=[number(tax.base), number(tax.tax), number(tax.base + tax.tax)],
            )
            for tax in note.taxes
        ],
    )


def _earned(rebate: Rebate, p: Print) -> str:
    """The volume and the tier that justify it."""
    words, formats = p.words, p.formats
    before, carried = rebate.settled_before, rebate.carried
    amount = formats.money(Money(abs(carried.minor), carried.currency))
    return words.rebate.format(
        volume=formats.money(rebate.volume),
        quantity=words.rebate_quantity.format(quantity=formats.quantity(rebate.quantity))
        if rebate.quantity is not None
        else "",
        rate=formats.rate(rebate.rate),
        mode=words.modes[rebate.marginal],
        earned=formats.money(rebate.earned),
        before=words.rebate_before.format(amount=formats.money(before)) if before else "",
        carried=words.rebate_carried[carried.minor < 0].format(amount=amount) if carried else "",
    )


def _credit_row(line: CreditLine, note: CreditNote, by_quantity: bool, p: Print) -> Row:
    quantity = [p.formats.quantity(line.quantity) if line.quantity is not None else ""]
    return Row(
        description=line.description,
        details=[p.formats.period(line.period, p.zone)] if line.period else [],
        cells=[
            *(quantity if by_quantity else []),
            *([p.formats.unit_price(line.unit_price, p.currency)] if line.unit_price is not None else []),
            _rate(line.tax, p),
            *_amounts(line.net, line.amount, note.tax_behavior, p),
        ],
    )


def _amounts(net: Money, in_its_prices: Money, behavior: TaxBehavior, p: Print) -> list[str]:
    """The net of a line; and its price where that has VAT in it, which is what adds up to the total."""
    match behavior:
        case TaxBehavior.EXCLUSIVE:
            return [p.formats.number(net)]
        case TaxBehavior.INCLUSIVE:
            return [p.formats.number(net), p.formats.number(in_its_prices)]


# ── What it adds up to ───────────────────────────────────────────────────────────────────────────


def _taxes(taxes: Sequence[GroupTax], p: Print) -> list[Tax]:
    return [
        Tax(
            cells=[_rate(tax.group, p), p.formats.number(tax.base), p.formats.number(tax.tax)],
            mention=_mention(tax.group, p.words),
        )
        for tax in taxes
    ]


def _rate(group: TaxGroup, p: Print) -> str:
    return p.formats.rate(group.rate)


def _mention(group: TaxGroup, words: Words) -> str:
    """Why no VAT is charged: the word the law wants and the seller's own reason, each said once."""
    if group == NET_OF_TAX:
        return words.net_of_tax
    word = words.mentions[group.category]
    if word.casefold() in group.reason.casefold():
        return group.reason
    return " – ".join(filter(None, (word, group.reason)))


def _totals(document: Invoice | CreditNote, p: Print) -> list[Fact]:
    words, money = p.words, p.formats.money
    return [
        Fact(words.total_net, money(document.net)),
        Fact(words.total_vat, money(document.tax)),
        Fact(words.total, money(document.total)),
    ]


def _deposits(invoice: Invoice, p: Print) -> list[Fact]:
    if not invoice.deductions:
        return []
    return [Fact(p.words.deposits_deducted, f"−{p.formats.money(invoice.total - invoice.to_pay)}")]


def _deductions(invoice: Invoice, p: Print) -> Table:
    """Each deposit as it was invoiced, net and VAT per rate, and what that leaves of the invoice."""
    words = p.words
    columns = [words.deposits, words.vat_rate, words.total_net, words.vat_amount, words.total]
    rows = [
        _deduction_row(
            words.deposit_of.format(number=each.number, date=p.formats.long_date(each.issued_on)), tax, "−", p
        )
        for each in invoice.deductions
        for tax in each.taxes
    ]
    return Table(columns, [*rows, *(_deduction_row(words.left, tax, "", p) for tax in _left(invoice))])


def _deduction_row(description: str, tax: GroupTax, sign: str, p: Print) -> Row:
    amounts = (tax.base, tax.tax, tax.base + tax.tax)
    return Row(
        description=description,
        details=[],
        cells=[_rate(tax.group, p), *(f"{sign if each else ''}{p.formats.number(each)}" for each in amounts)],
    )


def _left(invoice: Invoice) -> list[GroupTax]:
    """Per group what the deposits leave: below zero at a rate that more was paid in advance at."""
    left = {tax.group: tax for tax in invoice.taxes}
    nothing = zero(invoice.currency)
    for tax in (tax for each in invoice.deductions for tax in each.taxes):
        before = left.get(tax.group, GroupTax(group=tax.group, base=nothing, tax=nothing))
        left[tax.group] = GroupTax(group=tax.group, base=before.base - tax.base, tax=before.tax - tax.tax)
    return [left[group] for group in sorted(left)]


def _deduction(deduction: Deduction, p: Print) -> Fact:
    label = p.words.deducted.format(number=deduction.number)
    return Fact(label, f"−{p.formats.money(deduction.amount)}")


def _day(receipt: Receipt, p: Print) -> date:
    return receipt.received_on or local_date(receipt.settled_at, p.zone)


def _received(receipt: Receipt, p: Print) -> Row:
    by = p.words.means[receipt.means] if receipt.means else p.words.by_note.format(number=receipt.number)
    return Row(
        description=p.formats.long_date(_day(receipt, p)),
        details=[],
        cells=[" · ".join(filter(None, (by, receipt.reference))), p.formats.money(receipt.amount)],
    )


# ── How it is paid, and what the law wants said ──────────────────────────────────────────────────


def _bank(invoice: Invoice, words: Words) -> list[Fact]:
    """Where to send the money. Who is charged automatically is not told, so as not to pay twice."""
    seller = invoice.seller
    if not seller.iban or invoice.collection is Collection.AUTOMATIC:
        return []
    return [
        Fact(words.iban, in_fours(seller.iban)),
        *([Fact(words.bic, seller.bic)] if seller.bic else []),
        Fact(words.payment_reference, invoice.number),
    ]


def _invoice_mentions(invoice: Invoice, words: Words) -> list[str]:
    gross = words.prices[invoice.tax_behavior].mention
    of_prices = [gross] if gross else []
    if invoice.seller.address.country != "FR":
        return of_prices
    early = invoice.seller.early_payment_discount
    discount = words.early_discount.format(terms=early) if early else words.no_early_discount
    late = [words.late_payment, discount] if invoice.total else []
    return [*of_prices, words.services, *_vat_due(invoice.tax, invoice.vat_due, words), *late]


def _credit_note_mentions(note: CreditNote, words: Words) -> list[str]:
    """Nothing here duns: a credit note is not paid by its reader."""
    if note.seller.address.country != "FR":
        return []
    deduction = [words.deduction] if note.tax else []
    return [words.services, *_vat_due(note.tax, note.vat_due, words), *deduction]


def _vat_due(tax: Money, vat_due: VatDue, words: Words) -> list[str]:
    """When VAT falls due says nothing where there is none."""
    return [words.vat_due[vat_due]] if tax else []
