"""Random histories over HTTP beside the reference: after every step each document says what it says there."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ClassVar, TypeAlias, TypeVar

from hypothesis import assume, event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from api.house import House
from api.work import drain
from kernel.database import Pool, transaction
from tests.books import assert_sound
from tests.flows.backend import Backend, Json, euros, line
from tests.makers import NOON
from tests.settling.reference import AFTER_FAILURE, Books, Edge, Invoice, Line, Note, Refused, half_up

T = TypeVar("T")

RATES = {"20": 200_000, "5.5": 55_000}
METHODS = {"pm_sandbox_ok": False, "pm_sandbox_refund_declined": True}

ALine: TypeAlias = tuple[int, int, str]  # cents, how many, VAT

a_billed_line = st.tuples(st.integers(1, 99_99), st.sampled_from([1, 3, 7]), st.sampled_from(sorted(RATES)))
which = st.integers(0, 11)


class Stage:
    """Where the machine plays: the API with its worker, on the loop of the test that runs it."""

    def __init__(self, open_tenant: Callable[[], Awaitable[Backend]], house: House, pool: Pool) -> None:
        self.open_tenant = open_tenant
        self.house = house
        self.pool = pool
        self.loop = asyncio.get_running_loop()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()


class Settling(RuleBasedStateMachine):
    """A step whose subject is not there is no step; what the reference refuses, the house refuses too."""

    stage: ClassVar[Stage]

    @initialize(
        setting=st.sampled_from(["never", "on_next_invoice"]),
        billed=st.lists(st.lists(a_billed_line, min_size=1, max_size=3), min_size=4, max_size=4),
        methods=st.lists(st.sampled_from(sorted(METHODS)), min_size=2, max_size=2),
    )
    def open_shop(self, setting: str, billed: list[list[ALine]], methods: list[str]) -> None:
        """Two invoices are paid through the provider, one in part by transfer and the fourth not at all.

        A line of the first two is credited: there is a balance from the start.
        """
        self.books = Books(settle_on_next=setting == "on_next_invoice")
        self.run(self._open(setting))
        for lines in billed:
            self.issue(lines)
        first, second, third, _ = self.books.invoices
        self.charge(first, methods[0])
        self.charge(second, methods[1])
        self.transfer(third, half_up(third.due, 2))
        for invoice in (first, second):
            self.credit(invoice, {invoice.lines[0].id: ("net", invoice.lines[0].net)}, "none")

    async def _open(self, setting: str) -> None:
        self.backend = await self.stage.open_tenant()
        await self.backend.open_shop()
        await self.backend.patch("/v1/settings", {"settle_credit_notes": setting})

    # ── invoices and money ───────────────────────────────────────────────────────────────────────

    @rule(lines=st.lists(a_billed_line, min_size=1, max_size=2))
    def issue(self, lines: list[ALine]) -> None:
        bodies = [
            line(f"{cents // 100}.{cents % 100:02}", vat=vat, quantity=str(quantity))
            for cents, quantity, vat in lines
        ]
        issued = self.run(self.backend.issue(*bodies))
        self.books.issue(
            Invoice(
                issued["id"],
                [
                    Line(told["id"], cents * quantity, quantity, RATES[vat])
                    for told, (cents, quantity, vat) in zip(issued["lines"], lines, strict=True)
                ],
            )
        )

    @rule(which=which, amount=st.integers(1, 50_00))
    def pay_by_transfer(self, which: int, amount: int) -> None:
        owed = [each for each in self.books.invoices if each.due]
        invoice = self.pick(owed if owed and which < 11 else self.books.invoices, which)
        self.transfer(invoice, min(amount, invoice.due) or amount)

    @precondition(lambda self: any(invoice.due for invoice in self.books.invoices))
    @rule(which=which, method=st.sampled_from(sorted(METHODS)))
    def pay_by_provider(self, which: int, method: str) -> None:
        self.charge(self.pick([each for each in self.books.invoices if each.due], which), method)

    def transfer(self, invoice: Invoice, amount: int) -> None:
        path, body = f"/v1/invoices/{invoice.id}/payments", {"means": "transfer", "amount": euros(amount)}
        paid = self.both(lambda: self.books.pay(invoice, amount), path, body)
        if paid:
            payment, told = paid
            payment.id = told.get("payment", told)["id"]

    def charge(self, invoice: Invoice, method: str) -> None:
        payment = self.books.pay(invoice, invoice.due, by_provider=True, fails=METHODS[method])
        payment.id = self.run(self._charge(invoice, method))
        self.books.provider_answers()

    async def _charge(self, invoice: Invoice, method: str) -> str:
        await self.backend.patch("/v1/customers/user-42", {"payment_method": method})
        await self.backend.post(f"/v1/invoices/{invoice.id}/pay")
        await drain(self.stage.house)
        payments = (await self.backend.get("/v1/payments", invoice_id=invoice.id))["data"]
        return str(payments[0]["id"])

    @rule()
    def the_worker_works(self) -> None:
        self.run(drain(self.stage.house))
        self.books.provider_answers()

    # ── credit notes ─────────────────────────────────────────────────────────────────────────────

    @rule(which=which, mode=st.sampled_from(["automatic", "manual", "deferred", "none"]))
    def credit_what_is_left(self, which: int, mode: str) -> None:
        self.credit(self.creditable(which), None, mode)

    @rule(
        which=which,
        mode=st.sampled_from(["none", "automatic", "manual", "deferred"]),
        parts=st.lists(
            st.tuples(st.booleans(), st.sampled_from(["net", "quantity"]), st.integers(1, 60_00)),
            min_size=3,
            max_size=3,
        ),
    )
    def credit_lines(self, which: int, mode: str, parts: list[tuple[bool, str, int]]) -> None:
        invoice = self.creditable(which)
        asked = {
            each.id: (by, min(many, each.left or many) if by == "net" else many % each.quantity + 1)
            for each, (taken, by, many) in zip(invoice.lines, parts, strict=False)
            if taken
        }
        assume(asked)
        self.credit(invoice, asked, mode)

    def creditable(self, which: int) -> Invoice:
        """One of which there is something left, unless there is none or the draw is odd."""
        some = [each for each in self.books.invoices if any(line.left for line in each.lines)]
        return self.pick(some if some and which < 11 else self.books.invoices, which)

    def credit(self, invoice: Invoice, parts: dict[str, tuple[str, int]] | None, mode: str) -> None:
        body: Json = {"reason": "billing_error", "refund": mode}
        if parts is not None:
            body["lines"] = [
                {"line": key, by: euros(many) if by == "net" else str(many)}
                for key, (by, many) in parts.items()
            ]
        path = f"/v1/invoices/{invoice.id}/credit_notes"
        credited = self.both(lambda: self.books.credit(invoice, parts, mode), path, body)
        if credited is None:
            return
        note, told = credited
        note.id = told["credit_note"]["id"]
        assert dict(map(_vat, told["credit_note"]["taxes"])) == note.taxes
        for refund, said in zip(note.refunds, told["refunds"], strict=True):
            refund.id = said["id"]
        assert told["to_refund_by_hand"] == euros(note.promised)

    @precondition(lambda self: any(note.promised or note.left for note in self.books.notes))
    @rule(which=which, amount=st.integers(1, 100_00), all_of_it=st.booleans())
    def record_a_refund(self, which: int, amount: int, all_of_it: bool) -> None:
        note = self.pick([each for each in self.books.notes if each.promised or each.left], which)
        amount = note.promised + note.left if all_of_it else amount
        body = {"means": "transfer", "amount": euros(amount)}
        path = f"/v1/credit_notes/{note.id}/refunds"
        self.both(lambda: self.books.record_refund(note, amount), path, body)

    @precondition(lambda self: any(note.promised or note.left for note in self.books.notes))
    @rule(
        which=which,
        mode=st.sampled_from(["automatic", "deferred", "manual", "none"]),
        amount=st.none() | st.integers(1, 50_00),
    )
    def refund_a_note(self, which: int, mode: str, amount: int | None) -> None:
        note = self.pick([each for each in self.books.notes if each.promised or each.left], which)
        body: Json = {"mode": mode} if amount is None else {"mode": mode, "amount": euros(amount)}
        before = len(self.books.refunds)
        asked = self.both(
            lambda: self.books.refund(note, mode, amount), f"/v1/credit_notes/{note.id}/refund", body
        )
        if asked:
            for refund, said in zip(self.books.refunds[before:], asked[1]["refunds"], strict=True):
                refund.id = said["id"]

    @precondition(lambda self: self.books.refunds)
    @rule(which=which, what=st.sampled_from(["send_now", "cancel", *AFTER_FAILURE]))
    def decide(self, which: int, what: str) -> None:
        undecided = [each for each in self.books.refunds if each.status in ("scheduled", "failed")]
        refund = self.pick(undecided or self.books.refunds, which)
        body: Json = {"means": "transfer"} if what == "record_external" else {}
        decided = self.both(lambda: self.books.decide(refund, what), f"/v1/refunds/{refund.id}/{what}", body)
        if decided and what == "retry":
            (again,) = decided[1]["refunds"]
            self.books.refunds[-1].id = again["id"]

    @precondition(lambda self: any(note.left for note in self.books.notes))
    @rule(which=which, amount=st.integers(1, 50_00))
    def mark_used(self, which: int, amount: int) -> None:
        note = self.pick([each for each in self.books.notes if each.left], which)
        body = {"amount": euros(amount), "reason": "Taken off their own invoice"}
        self.both(lambda: self.books.mark_used(note, amount), f"/v1/credit_notes/{note.id}/mark_used", body)

    # ── the graph ────────────────────────────────────────────────────────────────────────────────

    @precondition(lambda self: self.pairs())
    @rule(which=which, amount=st.none() | st.integers(1, 50_00))
    def apply(self, which: int, amount: int | None) -> None:
        note, invoice = self.pick(self.pairs(), which)
        self.match(note, invoice, amount and min(amount, note.left, invoice.due))

    @precondition(lambda self: self.books.notes)
    @rule(which=which, invoice=which, amount=st.none() | st.integers(1, 50_00))
    def apply_at_random(self, which: int, invoice: int, amount: int | None) -> None:
        self.match(self.pick(self.books.notes, which), self.pick(self.books.invoices, invoice), amount)

    def pairs(self) -> list[tuple[Note, Invoice]]:
        return [
            (note, invoice)
            for note in self.books.notes
            for invoice in self.books.invoices
            if note.left and invoice.due and note.invoice is not invoice
        ]

    def match(self, note: Note, invoice: Invoice, amount: int | None) -> None:
        exactly = {} if amount is None else {"amount": euros(amount)}
        body = {
            "credit_notes": [{"credit_note": note.id, **exactly}],
            "invoices": [{"invoice": invoice.id}],
        }
        self.both(lambda: self.books.apply(note, invoice, amount), "/v1/settlements", body)

    @precondition(lambda self: any(note.edges for note in self.books.notes))
    @rule(which=which, amount=st.none() | st.integers(1, 50_00))
    def dissociate(self, which: int, amount: int | None) -> None:
        edge = self.pick([edge for note in self.books.notes for edge in note.edges], which)
        if amount is not None:
            amount = min(amount, edge.amount)
        path = f"/v1/settlements/{self.run(self._id_of(edge))}/dissociate"
        body = {} if amount is None else {"amount": euros(amount)}
        part = edge.amount if amount is None else amount
        self.both(lambda: self.books.dissociate(edge, part), path, body)

    async def _id_of(self, edge: Edge) -> str:
        told = (await self.backend.get("/v1/settlements", credit_note_id=edge.note.id, limit="100"))["data"]
        live = [
            each["id"]
            for each in reversed(told)
            if each["undone_at"] is None and each["invoice_id"] == edge.invoice.id
        ]
        alike = [each for each in edge.note.edges if each.invoice is edge.invoice]
        return str(live[alike.index(edge)])

    # ── comparing ────────────────────────────────────────────────────────────────────────────────

    @invariant()
    def every_document_says_what_the_reference_says(self) -> None:
        if hasattr(self, "backend"):
            self.books.check()
            self.run(self._compare())

    async def _compare(self) -> None:
        told = {
            each["id"]: each
            for kind in ("invoices", "credit_notes", "payments", "refunds")
            for each in (await self.backend.get(f"/v1/{kind}", limit="100"))["data"]
        }
        for invoice in self.books.invoices:
            assert _minors(told[invoice.id]["settlement"]) == {
                "status": invoice.status,
                "paid": invoice.paid,
                "offset": invoice.offset,
                "deducted_by": None,
                "pending": 0,
                "credited": invoice.credited,
                "due": invoice.due,
            }
        for note in self.books.notes:
            assert _minors(told[note.id]["settlement"]) == {
                "status": note.status,
                "applied": note.applied,
                "refunded": note.refunded,
                "held": note.held,
                "promised": note.promised,
                "left": note.left,
                "marked": note.marked,
            }
        for payment in self.books.payments:
            assert told[payment.id]["refunded"] == euros(payment.back)
        for refund in self.books.refunds:
            assert (told[refund.id]["status"], told[refund.id]["amount"]) == (
                refund.status,
                euros(refund.amount),
            )

    def teardown(self) -> None:
        if hasattr(self, "backend"):
            self.run(self._audit())

    async def _audit(self) -> None:
        """And the rows add up, ledger and VAT included."""
        async with transaction(self.stage.pool, self.backend.tenant, now=NOON) as tx:
            await assert_sound(tx)

    # ── helpers ──────────────────────────────────────────────────────────────────────────────────

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self.stage.run(coroutine)

    @staticmethod
    def pick(among: list[T], which: int) -> T:
        return among[which % len(among)]

    def both(self, reference: Callable[[], T], path: str, body: Json) -> tuple[T, Json] | None:
        """The step in the reference and in the house; None when both refuse it."""
        try:
            expected = reference()
        except Refused as refused:
            wanted = str(refused)
        else:
            return expected, self.run(self.backend.post(path, body))
        status, code = self.run(self.backend.refused(path, body))
        event(f"refused: {code}")
        assert status < 500
        assert wanted in ("", code)
        return None


def _minors(settlement: Json) -> Json:
    return {
        name: value["minor"] if isinstance(value, dict) else value
        for name, value in settlement.items()
        if name != "settled_at"
    }


def _vat(tax: Json) -> tuple[int, int]:
    return RATES[tax["group"]["rate"]], tax["tax"]["minor"]
