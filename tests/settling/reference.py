"""What must become of invoices, credit notes, money and refunds, in plain integers.

Nothing of the house is used here: it is worked out again from DESIGN's sentences, in the simplest way that
can be read. Amounts are cents, rates parts per million. What is not allowed raises `Refused`.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

MILLION = 1_000_000
AFTER_FAILURE = {
    "retry": "retried",
    "convert_to_balance": "converted_to_balance",
    "record_external": "recorded_external",
}


class Refused(Exception):
    """With the code of the problem."""


def half_up(number: int, by: int) -> int:
    return (2 * number + by) // (2 * by)


# ── The nodes ────────────────────────────────────────────────────────────────────────────────────


@dataclass
class Line:
    id: str
    net: int
    quantity: int
    rate: int
    credited: int = 0
    units: int = 0

    @property
    def left(self) -> int:
        return self.net - self.credited


@dataclass(eq=False)
class Edge:
    """Of a note that pays on an invoice which is not its own."""

    note: "Note"
    invoice: "Invoice"
    amount: int


@dataclass(eq=False)
class Payment:
    id: str
    invoice: "Invoice"
    amount: int
    by_provider: bool
    refunds_fail: bool = False
    back: int = 0

    @property
    def refundable(self) -> int:
        return self.amount - self.back if self.by_provider else 0


@dataclass(eq=False)
class Invoice:
    id: str
    lines: list[Line]
    credited_tax: dict[int, int] = field(default_factory=dict)
    credited: int = 0
    payments: list[Payment] = field(default_factory=list)
    own: int = 0  # what its own notes took off
    edges: list[Edge] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(line.net for line in self.lines) + sum(self.taxes.values())

    @property
    def taxes(self) -> dict[int, int]:
        nets = _by_rate((line.rate, line.net) for line in self.lines)
        return {rate: half_up(net * rate, MILLION) for rate, net in nets}

    @property
    def paid(self) -> int:
        return sum(payment.amount for payment in self.payments)

    @property
    def offset(self) -> int:
        return self.own + sum(edge.amount for edge in self.edges)

    @property
    def due(self) -> int:
        return self.total - self.paid - self.offset

    @property
    def status(self) -> str:
        settled = self.paid + self.offset
        return "settled" if settled >= self.total else "partly_settled" if settled else "open"


@dataclass(eq=False)
class Refund:
    note: "Note"
    payment: Payment
    amount: int
    status: str
    id: str = ""


@dataclass(eq=False)
class Note:
    invoice: Invoice
    net: int
    taxes: dict[int, int]
    own: int = 0
    back: int = 0  # went back by hand
    promised: int = 0
    marked: int = 0
    edges: list[Edge] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    id: str = ""

    @property
    def total(self) -> int:
        return self.net + sum(self.taxes.values())

    @property
    def applied(self) -> int:
        return self.own + sum(edge.amount for edge in self.edges)

    @property
    def refunded(self) -> int:
        return self.back + sum(each.amount for each in self.refunds if each.status == "succeeded")

    @property
    def held(self) -> int:
        return sum(each.amount for each in self.refunds if each.status in ("scheduled", "pending", "failed"))

    @property
    def left(self) -> int:
        return self.total - self.applied - self.refunded - self.held - self.promised - self.marked

    @property
    def status(self) -> str:
        used = self.applied + self.refunded + self.marked
        return "used" if used >= self.total else "partly_used" if used else "unused"


# ── What may happen to them ──────────────────────────────────────────────────────────────────────


@dataclass(eq=False)
class Books:
    """One customer's, with one seller. Lists are in the order in which things came to be."""

    settle_on_next: bool = False
    invoices: list[Invoice] = field(default_factory=list)
    notes: list[Note] = field(default_factory=list)
    payments: list[Payment] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)

    def issue(self, invoice: Invoice) -> None:
        """What earlier notes have left pays it, the oldest first, where the tenant says so."""
        self.invoices.append(invoice)
        if self.settle_on_next:
            for note in self.notes:
                self._join(note, invoice, min(note.left, invoice.due))

    def pay(
        self, invoice: Invoice, amount: int, *, by_provider: bool = False, fails: bool = False
    ) -> Payment:
        """`fails`: what goes back over it does."""
        if not invoice.due or amount > invoice.due:
            raise Refused("payment_exceeds_due")
        payment = Payment("", invoice, amount, by_provider, fails)
        invoice.payments.append(payment)
        self.payments.append(payment)
        return payment

    def credit(self, invoice: Invoice, parts: dict[str, tuple[str, int]] | None, mode: str) -> Note:
        """Parts are `(net, cents)` or `(quantity, units)` per line; without them it is all that is left."""
        taken = self._taken(invoice, parts)
        if not taken:
            raise Refused("nothing_to_credit")
        note = Note(invoice, sum(taken.values()), self._telescope(invoice, taken))
        for line in invoice.lines:
            line.credited += taken.get(line.id, 0)
            if parts and line.id in parts and parts[line.id][0] == "quantity":
                line.units += parts[line.id][1]
        invoice.credited += note.total
        self._waterfall(note, invoice, mode)
        self.notes.append(note)
        return note

    def _taken(self, invoice: Invoice, parts: dict[str, tuple[str, int]] | None) -> dict[str, int]:
        if parts is None:
            return {line.id: line.left for line in invoice.lines if line.left}
        return {line.id: self._part(line, *parts[line.id]) for line in invoice.lines if line.id in parts}

    def _part(self, line: Line, by: str, many: int) -> int:
        if by == "net":
            amount = many
            if amount > line.left:
                raise Refused("credit_exceeds_line")
        else:
            if line.units + many > line.quantity:
                raise Refused("credit_exceeds_quantity")
            after, before = line.units + many, line.units
            amount = half_up(line.net * after, line.quantity) - half_up(line.net * before, line.quantity)
            amount = min(amount, line.left)
        if not amount:
            raise Refused("nothing_to_credit")
        return amount

    def _telescope(self, invoice: Invoice, taken: dict[str, int]) -> dict[int, int]:
        """`round(rate x all that is credited so far) - the VAT of earlier notes`, per rate."""
        taxes = {}
        for rate, _ in _by_rate((x.rate, taken[x.id]) for x in invoice.lines if x.id in taken):
            base = sum(line.credited + taken.get(line.id, 0) for line in invoice.lines if line.rate == rate)
            before = invoice.credited_tax.get(rate, 0)
            taxes[rate] = half_up(base * rate, MILLION) - before
            invoice.credited_tax[rate] = before + taxes[rate]
        return taxes

    def _waterfall(self, note: Note, invoice: Invoice, mode: str) -> None:
        """What is due; then what older notes paid, which is theirs again; then cash, or the balance."""
        due, by_notes = invoice.due, sum(edge.amount for edge in invoice.edges)
        note.own = min(note.total, due + by_notes)
        self.take_back(invoice.edges, max(note.own - due, 0))
        invoice.own += note.own
        if mode != "none":
            self.give_back(note, note.total - note.own, mode)

    def give_back(self, note: Note, amount: int, mode: str) -> None:
        if mode in ("automatic", "deferred"):
            for payment in reversed(note.invoice.payments):
                part = min(amount, payment.refundable)
                if part:
                    payment.back += part
                    refund = Refund(note, payment, part, "pending" if mode == "automatic" else "scheduled")
                    note.refunds.append(refund)
                    self.refunds.append(refund)
                    amount -= part
        note.promised += amount

    def take_back(self, edges: list[Edge], amount: int) -> None:
        """The latest application first. What stays of one is matched anew, and is the latest from then on."""
        for edge in list(reversed(edges)):
            part = min(edge.amount, amount)
            if part:
                self.dissociate(edge, part)
                amount -= part

    def apply(self, note: Note, invoice: Invoice, amount: int | None) -> int:
        most = min(note.left, invoice.due)
        if note.invoice is invoice or not most or (amount or 0) > most:
            raise Refused("")
        self._join(note, invoice, amount or most)
        return amount or most

    def _join(self, note: Note, invoice: Invoice, amount: int) -> None:
        if amount:
            edge = Edge(note, invoice, amount)
            note.edges.append(edge)
            invoice.edges.append(edge)

    def dissociate(self, edge: Edge, amount: int) -> None:
        edge.note.edges.remove(edge)
        edge.invoice.edges.remove(edge)
        self._join(edge.note, edge.invoice, edge.amount - amount)

    def mark_used(self, note: Note, amount: int) -> None:
        if not 0 < amount <= note.left:
            raise Refused("")
        note.marked += amount

    def record_refund(self, note: Note, amount: int) -> None:
        """It lowers what is promised first, then what is left."""
        if amount > note.promised + note.left:
            raise Refused("refund_exceeds_note")
        note.promised -= min(amount, note.promised)
        note.back += amount

    def refund(self, note: Note, mode: str, amount: int | None) -> None:
        """Through the provider goes what was promised by hand first; `none` takes a promise back."""
        most = {"none": note.promised, "manual": note.left}.get(mode, note.promised + note.left)
        amount = most if amount is None else amount
        if not 0 < amount <= most:
            raise Refused("")
        if mode == "manual":
            note.promised += amount
            return
        note.promised -= min(amount, note.promised)
        if mode != "none":
            self.give_back(note, amount, mode)

    def provider_answers(self) -> None:
        for refund in self.refunds:
            if refund.status == "pending":
                refund.status = "failed" if refund.payment.refunds_fail else "succeeded"

    def decide(self, refund: Refund, what: str) -> None:
        """Of one that waits or failed. Unless it is tried again, the payment can carry its amount again."""
        allowed = {"scheduled": ("cancel", "send_now"), "failed": ("cancel", *AFTER_FAILURE)}
        if what not in allowed.get(refund.status, ()):
            raise Refused("refund_state")
        if what == "send_now":
            refund.status = "pending"
            return
        refund.status = {"cancel": "cancelled", **AFTER_FAILURE}[what]
        if what == "retry":
            again = Refund(refund.note, refund.payment, refund.amount, "pending")
            refund.note.refunds.append(again)
            self.refunds.append(again)
            return
        refund.payment.back -= refund.amount
        if what == "record_external":
            refund.note.back += refund.amount

    # ── what must always be true ─────────────────────────────────────────────────────────────────

    def check(self) -> None:
        came = sum(payment.amount for payment in self.payments) + sum(note.total for note in self.notes)
        went = sum(note.refunded + note.marked for note in self.notes)
        stays = sum(note.left + note.held + note.promised for note in self.notes)
        settled = sum(invoice.total - invoice.due for invoice in self.invoices)
        assert came == went + stays + settled, "the sum of what came in is the sum of what went out"
        for invoice in self.invoices:
            assert invoice.due >= 0
            assert all(0 <= line.credited <= line.net for line in invoice.lines)
            assert all(invoice.credited_tax.get(rate, 0) <= tax for rate, tax in invoice.taxes.items())
            if all(not line.left for line in invoice.lines):
                assert invoice.credited == invoice.total, "credited in whole is the invoice, to the cent"
        assert all(0 <= payment.back <= payment.amount for payment in self.payments)
        assert all(note.left >= 0 and note.promised >= 0 for note in self.notes)


def _by_rate(amounts: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    sums: dict[int, int] = {}
    for rate, amount in amounts:
        sums[rate] = sums.get(rate, 0) + amount
    return sorted(sums.items())
