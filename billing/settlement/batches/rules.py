"""How far a chunk of a settlement batch comes. Pure.

Where it stops in the middle of a customer, the next chunk goes on as if it had not: chunks of any size match
the same amounts.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from billing.credit_notes.model import CreditNoteId
from billing.settlement.batches.model import NO_INVOICE, NOWHERE, DueMark, InCurrency, Mark, Refused
from billing.settlement.bulk.model import Between, OpenInvoice, OpenNote, Pair
from kernel.money import Currency, Money, zero
from kernel.structs import Value


class Dues(Value, frozen=True, kw_only=True):
    """Invoices that are due between two parties, the oldest first; `more`: there may be others after them."""

    invoices: Sequence[OpenInvoice]
    more: bool


class Walk(Value, frozen=True, kw_only=True):
    """`mark` is where the next chunk goes on; None when there is nothing left to go through."""

    pairs: tuple[Pair, ...]
    examined: int
    refused: Mapping[str, int]
    mark: Mark | None


class Queue:
    """The invoices between two parties that wait for a note."""

    def __init__(self, between: Between, dues: Dues | None, mark: DueMark | None) -> None:
        _, self._seller, self._currency = between
        self._waiting = [(each, each.free.minor) for each in dues.invoices] if dues else []
        self._waiting.reverse()
        self._more = dues is not None and dues.more
        self._after = mark.after if mark else NO_INVOICE
        self._used = 0
        self.in_flight = mark is not None and mark.in_flight
        if mark and self._waiting and self._waiting[-1][0].id == mark.next:
            self._take(mark.used)

    @property
    def is_cut_off(self) -> bool:
        """Empty, and others may come after."""
        return not self._waiting and self._more

    def paid_by(self, note: OpenNote, left: int) -> Iterator[Pair]:
        while left > 0 and self._waiting:
            invoice, free = self._waiting[-1]
            part = min(left, free)
            if part > 0:
                amount = Money(part, note.currency)
                yield Pair(credit_note_id=note.id, invoice_id=invoice.id, amount=amount)
            left -= max(part, 0)
            self._take(part)

    def mark(self) -> DueMark:
        coming = self._waiting[-1][0].id if self._waiting and self._used else None
        return DueMark(
            legal_entity_id=self._seller,
            currency=self._currency,
            after=self._after,
            next=coming,
            used=self._used,
            in_flight=self.in_flight,
        )

    def _take(self, part: int) -> None:
        invoice, free = self._waiting.pop()
        if part < free:
            self._waiting.append((invoice, free - part))
            self._used += part
            return
        self.in_flight = self.in_flight or bool(invoice.settlement.pending)
        self._after, self._used = invoice.id, 0


def walk(
    notes: Sequence[OpenNote],
    dues: Mapping[Between, Dues],
    mark: Mark,
    *,
    more: bool,
    simulated: bool,
) -> Walk:
    """Notes come by customer, the oldest first; `more` may come after them."""
    # What is used is in the rows already, unless it is simulated.
    goes_on = (
        mark if simulated else replace(mark, used=0, dues=tuple(replace(each, used=0) for each in mark.dues))
    )
    queues: dict[Between, Queue] = {}
    pairs: list[Pair] = []
    refused: Counter[str] = Counter()
    examined, after, customer = 0, mark.after, mark.customer_id
    for note in notes:
        if note.customer_id != customer:
            after, customer = NOWHERE.after, note.customer_id
        queue = queues.get(note.between)
        if queue is None:
            queue = queues[note.between] = Queue(note.between, dues.get(note.between), _due(goes_on, note))
        before = goes_on.used if note.id == mark.next else 0
        left = note.settlement.left.minor - before
        paid = list(queue.paid_by(note, left))
        pairs += paid
        rest = left - sum(each.amount.minor for each in paid)
        if rest > 0 and queue.is_cut_off:
            used = before + left - rest
            return Walk(
                pairs=tuple(pairs),
                examined=examined,
                refused=refused,
                mark=_mark(note, after, queues, next_note=note.id, used=used, mark=mark),
            )
        if rest > 0 and not paid and note.id != mark.next:
            refused["payment_in_flight" if queue.in_flight else "nothing_due"] += 1
        examined += 1
        after = note.id
    last = _mark(notes[-1], after, queues, mark=mark) if notes and more else None
    return Walk(pairs=tuple(pairs), examined=examined, refused=refused, mark=last)


def _due(mark: Mark, note: OpenNote) -> DueMark | None:
    """Where the chunk before had come to, if it was with the same customer."""
    if mark.customer_id != note.customer_id:
        return None
    wanted = (note.legal_entity_id, note.currency)
    return next((each for each in mark.dues if (each.legal_entity_id, each.currency) == wanted), None)


def _mark(
    note: OpenNote,
    after: CreditNoteId,
    queues: Mapping[Between, Queue],
    *,
    mark: Mark,
    next_note: CreditNoteId | None = None,
    used: int = 0,
) -> Mark:
    """With what is known of this customer's invoices, also from chunks before."""
    of_customer = {
        (seller, currency): queue.mark()
        for (customer, seller, currency), queue in queues.items()
        if customer == note.customer_id
    }
    if mark.customer_id == note.customer_id:
        earlier = {(each.legal_entity_id, each.currency): each for each in mark.dues}
        of_customer = earlier | of_customer
    return Mark(
        customer_id=note.customer_id, after=after, next=next_note, used=used, dues=tuple(of_customer.values())
    )


def added(before: Iterable[InCurrency], pairs: Iterable[Pair]) -> tuple[InCurrency, ...]:
    """By currency, in the order of their codes."""
    counts: Counter[Currency] = Counter()
    amounts: dict[Currency, Money] = {}
    for each in before:
        counts[each.currency], amounts[each.currency] = each.applications, each.amount
    for pair in pairs:
        currency = pair.amount.currency
        counts[currency] += 1
        amounts[currency] = amounts.get(currency, zero(currency)) + pair.amount
    return tuple(
        InCurrency(currency=currency, applications=counts[currency], amount=amounts[currency])
        for currency in sorted(amounts)
    )


def refused_with(before: Iterable[Refused], more: Mapping[str, int]) -> tuple[Refused, ...]:
    counts = Counter({each.code: each.credit_notes for each in before})
    counts.update(more)
    return tuple(Refused(code=code, credit_notes=counts[code]) for code in sorted(counts))
