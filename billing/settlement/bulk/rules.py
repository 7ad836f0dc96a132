"""Which notes settle which invoices, and what is written when they do: thousands at once. Pure.

One after the other they would be the same rows: each finds the books as those before it left them.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from zoneinfo import ZoneInfo

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId, Status
from billing.ledger import postings
from billing.ledger.model import Account, Balance, Booked, Posting
from billing.parties.model import VatDue
from billing.settlement.bulk.model import Between, Edge, OpenInvoice, OpenNote, Pair
from billing.settlement.model import SettlementId
from billing.settlement.rules import settled_with, used_with
from billing.tax.model import GroupTax, TaxGroup
from kernel.money import Currency, Money, zero
from kernel.periods import local_date
from kernel.structs import Value

VAT_LABEL = "VAT due on receipts"


def matched(notes: Iterable[OpenNote], invoices: Iterable[OpenInvoice]) -> list[Pair]:
    """The first note pays the first invoice as far as both reach, and so on: between each two parties as much
    as the smaller side has. What a payment under way will settle is left to it."""
    due: dict[Between, list[tuple[OpenInvoice, Money]]] = defaultdict(list)
    for invoice in invoices:
        if invoice.free.minor > 0:
            due[invoice.between].append((invoice, invoice.free))
    for waiting in due.values():
        waiting.reverse()
    return [pair for note in notes for pair in _paid_by(note, due[note.between])]


def _paid_by(note: OpenNote, waiting: list[tuple[OpenInvoice, Money]]) -> Iterator[Pair]:
    left = note.settlement.left
    while left.minor > 0 and waiting:
        invoice, free = waiting.pop()
        part = min(left, free)
        yield Pair(credit_note_id=note.id, invoice_id=invoice.id, amount=part)
        left -= part
        if part < free:
            waiting.append((invoice, free - part))


class Written(Value, frozen=True, kw_only=True):
    """A ledger entry, and the settlement that made it necessary."""

    booked: Booked
    settlement_id: SettlementId
    label: str
    booked_on: date


class Applied(Value, frozen=True, kw_only=True):
    """Everything that is written; notes and invoices are as they are at the end."""

    edges: Sequence[Edge]
    notes: Sequence[OpenNote]
    invoices: Sequence[OpenInvoice]
    entries: Sequence[Written]


class Books:
    """What has come in on documents, and which of their VAT is booked as due; it moves as we go."""

    def __init__(
        self,
        balances: Mapping[InvoiceId, Sequence[Balance]],
        credited: Mapping[InvoiceId, Mapping[TaxGroup, GroupTax]],
        of_notes: Mapping[CreditNoteId, Sequence[Balance]],
    ) -> None:
        self._balances = balances
        self._credited = credited
        self._of_notes = of_notes
        self._received: dict[InvoiceId, Money] = {}
        self._released: dict[InvoiceId | CreditNoteId, dict[TaxGroup, Money]] = {}

    def received(self, invoice: OpenInvoice, amount: Money) -> list[Posting]:
        """So much came in on it, or went out where it is below zero: the VAT that falls due by it."""
        if invoice.vat_due is not VatDue.ON_PAYMENT or invoice.settlement.deducted_by is not None:
            return []
        balances = self._balances[invoice.id]
        before = self._received.get(invoice.id)
        if before is None:
            before = postings.received_of(balances, invoice.currency)
            self._released[invoice.id] = postings.released_of(balances)
        self._received[invoice.id] = before + amount
        credited = self._credited.get(invoice.id, {})
        fallen_due = postings.vat_fallen_due(
            invoice.taxes,
            credited_tax={group: tax.tax for group, tax in credited.items()},
            released=self._released[invoice.id],
            received=before + amount,
            left=invoice.total - invoice.settlement.credited,
        )
        self._note(invoice.id, fallen_due, sign=-1)
        return fallen_due

    def used(self, note: OpenNote) -> list[Posting]:
        """The VAT of a note on no invoice, which is as it is after its use."""
        if note.vat_due is not VatDue.ON_PAYMENT or note.invoice_id is not None or not note.taxes:
            return []
        if note.id not in self._released:
            collected = [each for each in self._of_notes[note.id] if each.account is Account.VAT_COLLECTED]
            self._released[note.id] = {each.tax: each.amount for each in collected if each.tax}
        settlement = note.settlement
        fallen_due = postings.vat_of_note(
            note.taxes,
            released=self._released[note.id],
            used=settlement.applied + settlement.refunded + settlement.marked,
            total=note.total,
        )
        self._note(note.id, fallen_due, sign=1)
        return fallen_due

    def _note(self, document: InvoiceId | CreditNoteId, fallen_due: Sequence[Posting], *, sign: int) -> None:
        released = self._released[document]
        for posting in fallen_due:
            if posting.account is Account.VAT_COLLECTED and posting.tax:
                before = released.get(posting.tax, zero(posting.amount.currency))
                released[posting.tax] = before + Money(sign * posting.amount.minor, before.currency)


def applied(
    pairs: Sequence[Pair],
    notes: Mapping[CreditNoteId, OpenNote],
    invoices: Mapping[InvoiceId, OpenInvoice],
    books: Books,
    *,
    now: datetime,
) -> Applied:
    """`invoices` are those that are settled, and those that the notes are on."""
    notes_after, invoices_after = dict(notes), dict(invoices)
    edges: list[Edge] = []
    entries: list[Written] = []
    days = _Days(now)
    for pair in pairs:
        before = invoices_after[pair.invoice_id]
        note = used_with(notes_after[pair.credit_note_id], applied=pair.amount)
        invoice = settled_with(before, offset=pair.amount, now=now)
        assert note.between == invoice.between, "a note pays on invoices of its own customer and seller"
        assert min(note.settlement.left.minor, invoice.settlement.due.minor) >= 0, "no more than there is"
        notes_after[note.id], invoices_after[invoice.id] = note, invoice
        edge = Edge(
            id=SettlementId.new(),
            pair=pair,
            customer_id=note.customer_id,
            is_own=note.invoice_id == invoice.id,
            settles=invoice.settlement.status is Status.SETTLED
            and before.settlement.status is not Status.SETTLED,
        )
        edges.append(edge)
        if not edge.is_own:
            own = invoices_after[note.invoice_id] if note.invoice_id else None
            entries += _entries(edge, note, own, invoice, books, days)
    return Applied(
        edges=edges,
        notes=[notes_after[each] for each in dict.fromkeys(pair.credit_note_id for pair in pairs)],
        invoices=[invoices_after[each] for each in dict.fromkeys(pair.invoice_id for pair in pairs)],
        entries=entries,
    )


def _entries(
    edge: Edge, note: OpenNote, own: OpenInvoice | None, invoice: OpenInvoice, books: Books, days: "_Days"
) -> Iterator[Written]:
    """A refund on the note's own invoice and a receipt on the other."""
    amount = edge.pair.amount
    back = Money(-amount.minor, amount.currency)
    day = days.of(invoice)
    moved = [
        *((note.holder, posting) for posting in postings.customer_owes(amount)),
        *((invoice.holder, posting) for posting in postings.customer_owes(back)),
    ]
    label = f"{note.number} applied to {invoice.number}"
    yield from _written(edge, postings.in_one_transaction(moved), label, day)
    of_note = ((note.holder, posting) for posting in books.used(note))
    yield from _written(edge, postings.in_one_transaction(of_note), VAT_LABEL, day)
    if own is not None:
        of_own = ((own.holder, posting) for posting in books.received(own, back))
        yield from _written(edge, postings.in_one_transaction(of_own), VAT_LABEL, days.of(own))
    of_other = ((invoice.holder, posting) for posting in books.received(invoice, amount))
    yield from _written(edge, postings.in_one_transaction(of_other), VAT_LABEL, day)


def _written(edge: Edge, booked: Sequence[Booked], label: str, day: date) -> Iterator[Written]:
    for each in booked:
        yield Written(booked=each, settlement_id=edge.id, label=label, booked_on=day)


class _Days:
    """Today where each seller is; not before the invoice, whose series may be ahead of it."""

    def __init__(self, now: datetime) -> None:
        self._now = now
        self._today: dict[str, date] = {}

    def of(self, invoice: OpenInvoice) -> date:
        today = self._today.get(invoice.time_zone)
        if today is None:
            today = self._today[invoice.time_zone] = local_date(self._now, ZoneInfo(invoice.time_zone))
        return max(today, invoice.issued_on)


def amounts_of(pairs: Iterable[Pair]) -> dict[Currency, Money]:
    sums: dict[Currency, Money] = {}
    for pair in pairs:
        currency = pair.amount.currency
        sums[currency] = sums.get(currency, zero(currency)) + pair.amount
    return sums
