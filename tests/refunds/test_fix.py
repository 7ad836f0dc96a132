"""A wrong invoice is put right in one act: only the difference moves.

Three lines of 179.76 in all, as in the design's oracle, or a subscription at 29.00 (34.80) a month.
"""

from datetime import UTC, datetime

import pytest
from msgspec.structs import replace

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import NewCreditNote, NewReversal, Reason
from billing.documents import keep
from billing.gateways.model import Outcome
from billing.gateways.model import Status as OutcomeStatus
from billing.invoices import store as invoices
from billing.invoices.model import (
    CorrectedLine,
    DocumentKind,
    Invoice,
    InvoiceId,
    InvoiceKind,
    NewDiscount,
    NewPeriod,
    Status,
)
from billing.parties import store as parties
from billing.parties.change_customer import change_customer
from billing.parties.model import Customer, CustomerChange, RefundMode
from billing.payments.model import Payment
from billing.settlement.apply import apply_note
from billing.settlement.balance import balance_of
from billing.settlement.reverse import reverse_note
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import NewTaxRate, TaxBehavior
from kernel.database import Pool, Tx, transaction
from kernel.decimals import Quantity, Rate, UnitPrice
from kernel.errors import Conflict, DomainError
from kernel.ids import TenantId
from kernel.money import Currency, Money
from kernel.text import Name, Reference
from notifications import letters
from notifications.model import Kind
from refunds.cancel_subscription import cancel_subscription
from refunds.change_subscription import change_subscription
from refunds.credit_invoice import credit_invoice
from refunds.dispute import close_dispute, open_dispute
from refunds.disputes.model import Dispute, NewDispute, NewVerdict, Verdict
from refunds.events import InvoiceCorrected
from refunds.fix_invoice import fix_invoice
from refunds.model import Credit, FixedInvoice, NewCancellation, NewChange, NewFix, Refund
from refunds.send_refund import finish_refund, start_refund
from subscriptions import store as subscriptions
from subscriptions.model import PriceModel
from subscriptions.release_offers import release_offers
from subscriptions.sign_up import sign_up
from tests.billing.test_documents import pages_of
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, a_line, euros
from tests.promotions.offers import a_new_offer, percent
from tests.refunds.cases import TENTH_DAY, an_intent, billed, paid_by_provider, settlement_of
from tests.shop import (
    a_credit,
    a_payment,
    a_shop,
    an_issued_invoice,
    at,
    by_amount,
    while_open,
)
from tests.subscriptions.plans import a_plan, a_price, a_signup, signed_up


def priced(price: str, line: str = "Conseil", *, tax_rate: str | None = None) -> CorrectedLine:
    return CorrectedLine(description=Name(line), unit_price=UnitPrice.parse(price), tax_rate=tax_rate)


async def fix(
    tx: Tx,
    invoice: Invoice,
    *lines: CorrectedLine,
    refund: RefundMode | None = None,
    discounts: list[NewDiscount] | None = None,
) -> FixedInvoice:
    """Without lines, what was billed before is billed again."""
    request = NewFix(
        reason=Reason.BILLING_ERROR, lines=list(lines) or None, refund=refund, discounts=discounts or []
    )
    fixed = await fix_invoice(tx, invoice.id, request)
    await assert_sound(tx)
    return fixed


async def an_invoice(tx: Tx, price: str = "100.00") -> Invoice:
    """Of 100.00 and VAT: 120.00."""
    return await an_issued_invoice(tx, await a_shop(tx), [a_line("Conseil", price)])


async def carried_out(tx: Tx, refund: Refund) -> None:
    await start_refund(tx, refund.id)
    await finish_refund(tx, refund.id, Outcome(status=OutcomeStatus.SUCCEEDED, reference=str(refund.id)))


# ── What moves ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("price", ["80.00", "100.00", "130.00"])
async def test_of_an_unpaid_invoice_the_new_total_is_due(tx: Tx, price: str) -> None:
    invoice = await an_invoice(tx)

    fixed = await fix(tx, invoice, priced(price))

    assert fixed.credit_note.total == invoice.total
    assert fixed.credit_note.settlement.left == euros(0)
    assert fixed.invoice.settlement.due == fixed.invoice.total
    assert (await settlement_of(tx, invoice)).due == euros(0)
    assert fixed.refunds == ()


@pytest.mark.parametrize(
    ("price", "due", "back"),
    [("20.00", 0, 36_00), ("50.00", 0, 0), ("80.00", 36_00, 0), ("130.00", 96_00, 0)],
)
async def test_of_a_partly_paid_invoice_only_what_is_missing_is_due_or_what_is_over_goes_back(
    tx: Tx, price: str, due: int, back: int
) -> None:
    invoice = await an_invoice(tx)
    await paid_by_provider(tx, invoice, 60_00)

    fixed = await fix(tx, invoice, priced(price), refund=RefundMode.AUTOMATIC)

    assert fixed.invoice.settlement.due == euros(due)
    assert [refund.amount for refund in fixed.refunds] == ([euros(back)] if back else [])
    assert fixed.credit_note.settlement.left == euros(0)


@pytest.mark.parametrize(
    ("price", "due", "back"), [("80.00", 0, 24_00), ("100.00", 0, 0), ("130.00", 36_00, 0)]
)
async def test_of_what_the_provider_took_only_the_difference_goes_back_or_is_due(
    tx: Tx, price: str, due: int, back: int
) -> None:
    invoice = await an_invoice(tx)
    payment = await paid_by_provider(tx, invoice)

    fixed = await fix(tx, invoice, priced(price), refund=RefundMode.AUTOMATIC)
    for refund in fixed.refunds:
        await carried_out(tx, refund)

    assert [(refund.payment_id, refund.amount) for refund in fixed.refunds] == (
        [(payment.id, euros(back))] if back else []
    )
    assert fixed.invoice.settlement.due == euros(due)
    assert (await balance_of(tx, "user-42")).amounts in ([], [euros(0)])
    await assert_sound(tx)


async def test_what_came_past_the_provider_goes_back_by_hand(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    await a_payment(tx, invoice)

    fixed = await fix(tx, invoice, priced("80.00"), refund=RefundMode.AUTOMATIC)

    assert (fixed.refunds, fixed.to_refund_by_hand) == ((), euros(24_00))
    assert fixed.credit_note.settlement.promised == euros(24_00)
    assert fixed.invoice.settlement.status is Status.SETTLED


async def test_what_is_over_stays_balance_where_that_is_asked_for(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    await paid_by_provider(tx, invoice)

    fixed = await fix(tx, invoice, priced("80.00"), refund=RefundMode.NONE)

    assert fixed.credit_note.settlement.left == euros(24_00)
    assert fixed.credit_note.destination.to_balance == euros(120_00)
    assert (await balance_of(tx, "user-42")).amounts == [euros(24_00)]


@pytest.mark.parametrize(
    ("price", "from_note", "due"), [("40.00", 0, 0), ("70.00", 12_00, 0), ("120.00", 48_00, 24_00)]
)
async def test_an_older_note_that_had_paid_gets_back_what_is_over_and_never_as_cash(
    tx: Tx, price: str, from_note: int, due: int
) -> None:
    """48.00 of 120.00 had been paid by the note, 72.00 with money; 2.00 of the note were left."""
    customer = await a_shop(tx)
    invoice = await an_issued_invoice(tx, customer, [a_line(price="100.00")])
    credited = await an_issued_invoice(tx, customer, [a_line(price="41.67")])
    await paid_by_provider(tx, credited)
    older = await a_credit(tx, credited)
    await apply_note(tx, older, invoice, euros(48_00))
    await paid_by_provider(tx, invoice, 72_00)

    fixed = await fix(tx, invoice, priced(price), refund=RefundMode.AUTOMATIC)

    after = await credit_notes.get(tx, older.id)
    assert after.settlement.applied == euros(from_note)
    assert after.settlement.left == euros(50_00 - from_note)
    assert fixed.invoice.settlement.due == euros(due)
    over = max(72_00 - fixed.invoice.total.minor, 0)
    assert sum(refund.amount.minor for refund in fixed.refunds) == over


async def test_what_had_been_credited_before_is_not_credited_again(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    await paid_by_provider(tx, invoice)
    await a_credit(tx, invoice, by_amount(invoice.lines[0], 40_00))

    fixed = await fix(tx, invoice, priced("50.00"), refund=RefundMode.AUTOMATIC)

    assert fixed.credit_note.total == euros(72_00)
    assert [refund.amount for refund in fixed.refunds] == [euros(12_00)]
    assert (await balance_of(tx, "user-42")).amounts == [euros(48_00)]


# ── The documents ────────────────────────────────────────────────────────────────────────────────


async def test_the_three_documents_name_each_other(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    fixed = await fix(tx, invoice, priced("80.00"))
    first, note, corrected = await invoices.get(tx, invoice.id), fixed.credit_note, fixed.invoice

    assert corrected.kind is InvoiceKind.CORRECTED
    assert [(each.kind, each.id, each.number, each.issued_on) for each in corrected.references] == [
        (DocumentKind.INVOICE, str(invoice.id), invoice.number, invoice.issued_on),
        (DocumentKind.CREDIT_NOTE, str(note.id), note.number, note.issued_on),
    ]
    assert (first.corrected_by, note.corrected_by, note.invoice_id) == (corrected.id, corrected.id, first.id)
    assert await invoices.get(tx, corrected.id) == corrected
    assert [first.number, corrected.number] == ["F2026-000001", "F2026-000002"]


async def test_the_page_says_what_it_replaces_and_what_is_left_to_pay(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    await paid_by_provider(tx, invoice)
    fixed = await fix(tx, invoice, priced("130.00"))

    (page,) = pages_of(await keep.pdf_of(tx, fixed.invoice))

    assert f"Annule et remplace la facture {invoice.number} du " in page
    assert f"Annulée par l’avoir {fixed.credit_note.number}" in page
    assert f"Avoir {fixed.credit_note.number} déduit −120,00 €" in page
    assert "Net à payer 36,00 €" in page


async def test_both_go_out_in_one_mail(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    await paid_by_provider(tx, invoice)
    fixed = await fix(tx, invoice, priced("80.00"), refund=RefundMode.AUTOMATIC)
    event = InvoiceCorrected(
        invoice_id=invoice.id,
        credit_note_id=fixed.credit_note.id,
        corrected_invoice_id=fixed.invoice.id,
        customer_id=invoice.customer_id,
    )

    letter = await letters.invoice_corrected(tx, event)

    assert await letters.invoice_issued(tx, fixed.invoice.id) is None
    assert await letters.credit_note_issued(tx, fixed.credit_note.id) is None
    assert letter.kind is Kind.INVOICE_CORRECTED
    assert [each.file_name for each in letter.attachments] == [
        f"{fixed.invoice.number}.pdf",
        f"{fixed.credit_note.number}.pdf",
    ]
    assert invoice.number in letter.body
    assert "24,00\u00a0€ sont remboursés" in letter.body


async def test_the_customer_is_as_they_are_now_and_everything_else_as_it_was(tx: Tx) -> None:
    """A wrong name is put right by billing the same lines again."""
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    await change_customer(tx, "user-42", CustomerChange(name=Name("Atelier Cœur SARL")))

    fixed = await fix(tx, invoice)

    assert fixed.invoice.buyer.name == "Atelier Cœur SARL"
    assert [
        replace(line, id=was.id) for line, was in zip(fixed.invoice.lines, invoice.lines, strict=True)
    ] == [*invoice.lines]
    assert fixed.invoice.total == invoice.total == euros(179_76)


async def test_a_line_changes_in_what_is_said_and_its_discounts_in_proportion(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    was = invoice.lines[2]  # 3 x 10.00, less 4.17

    fixed = await fix(tx, invoice, CorrectedLine(line=was.id, quantity=Quantity(2)))

    (line,) = fixed.invoice.lines
    assert (line.description, line.tax, line.period, line.item) == (
        was.description,
        was.tax,
        was.period,
        was.item,
    )
    assert (line.amount, line.discount, line.net) == (euros(20_00), euros(2_78), euros(17_22))


async def test_another_rate_a_period_and_a_discount_can_be_asked_for(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    await add_tax_rate(
        tx, NewTaxRate(reference=Reference("vat-5.5"), name=Name("TVA 5,5 %"), rate=Rate.parse("5.5"))
    )
    year = NewPeriod(start=datetime(2026, 1, 1, tzinfo=UTC), end=datetime(2027, 1, 1, tzinfo=UTC))
    line = CorrectedLine(line=invoice.lines[0].id, tax_rate="vat-5.5", period=year, item=Reference("book"))

    fixed = await fix(tx, invoice, line, discounts=[NewDiscount(name=Name("Excuses"), amount=euros(10_00))])

    (billed_line,) = fixed.invoice.lines
    assert billed_line.period is not None
    assert (billed_line.period.start, billed_line.item) == (year.start, "book")
    assert (fixed.invoice.net, fixed.invoice.tax) == (euros(90_00), euros(4_95))


async def test_gross_prices_stay_gross(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx), tax_behavior=TaxBehavior.INCLUSIVE)
    await paid_by_provider(tx, invoice)

    fixed = await fix(tx, invoice, priced("120.00"), refund=RefundMode.AUTOMATIC)

    assert (fixed.invoice.total, fixed.invoice.net) == (euros(120_00), euros(100_00))
    assert [refund.amount for refund in fixed.refunds] == [invoice.total - euros(120_00)]


# ── What is refused ──────────────────────────────────────────────────────────────────────────────


async def test_a_payment_in_flight_is_waited_for(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    await an_intent(tx, invoice, 120_00)

    with pytest.raises(Conflict) as refusal:
        await fix(tx, invoice, priced("80.00"))

    assert refusal.value.code == "payment_in_flight"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (CorrectedLine(description=Name("Conseil")), "corrected_line_incomplete"),
        (CorrectedLine(unit_price=UnitPrice.parse("1.00")), "corrected_line_incomplete"),
        (priced("9999999999999.00"), "amount_too_large"),
        (replace(priced("1.00"), period=NewPeriod(start=NOON, end=NOON)), "period_empty"),
        (priced("1.00", tax_rate="nope"), "tax_rate_not_found"),
    ],
)
async def test_what_cannot_be_billed_is_refused(tx: Tx, line: CorrectedLine, code: str) -> None:
    invoice = await an_invoice(tx)

    with pytest.raises(DomainError) as refusal:
        await fix(tx, invoice, line)

    assert refusal.value.code == code


async def test_a_line_of_another_invoice_is_not_found(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    other = await an_issued_invoice(tx, await _customer(tx, invoice))

    with pytest.raises(DomainError) as refusal:
        await fix(tx, invoice, CorrectedLine(line=other.lines[0].id))

    assert refusal.value.code == "invoice_line_not_found"


async def test_a_discount_in_another_currency_is_refused(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    dollars = NewDiscount(name=Name("x"), amount=Money(1, Currency.parse("USD")))

    with pytest.raises(DomainError) as refusal:
        await fix(tx, invoice, priced("1.00"), discounts=[dollars])

    assert refusal.value.code == "currency_mismatch"


async def test_after_a_credit_it_has_to_be_said_what_is_billed(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    await a_credit(tx, invoice, by_amount(invoice.lines[0], 40_00))

    with pytest.raises(DomainError) as refusal:
        await fix(tx, invoice)

    assert refusal.value.code == "corrected_lines_missing"


async def test_an_invoice_is_fixed_once_and_the_corrected_one_again(tx: Tx) -> None:
    invoice = await an_invoice(tx)
    payment = await paid_by_provider(tx, invoice)
    once = await fix(tx, invoice, priced("80.00"), refund=RefundMode.AUTOMATIC)

    twice = await fix(tx, once.invoice, priced("50.00"), refund=RefundMode.AUTOMATIC)

    assert [(refund.payment_id, refund.amount) for refund in twice.refunds] == [(payment.id, euros(36_00))]
    assert (twice.invoice.total, twice.invoice.settlement.due) == (euros(60_00), euros(0))
    with pytest.raises(Conflict) as refusal:
        await fix(tx, invoice, priced("50.00"))
    assert refusal.value.code == "nothing_to_credit"


async def test_two_who_fix_one_invoice_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        invoice = await an_invoice(tx)

    request = NewFix(reason=Reason.BILLING_ERROR, lines=[priced("1.00")])
    code = await while_open(
        pool, tenant, lambda tx: fix_invoice(tx, invoice.id, request), lambda tx: _refused(tx, invoice.id)
    )

    assert code == "nothing_to_credit"


async def _refused(tx: Tx, invoice_id: InvoiceId) -> str:
    with pytest.raises(Conflict) as refusal:
        await fix_invoice(tx, invoice_id, NewFix(reason=Reason.BILLING_ERROR, lines=[priced("1.00")]))
    return refusal.value.code


# ── Later ────────────────────────────────────────────────────────────────────────────────────────


async def test_what_was_kept_goes_back_to_the_card_that_paid_it(tx: Tx) -> None:
    """A credit of the corrected invoice, over the payment of the first."""
    invoice = await an_invoice(tx)
    payment = await paid_by_provider(tx, invoice)
    fixed = await fix(tx, invoice, priced("80.00"), refund=RefundMode.AUTOMATIC)
    await carried_out(tx, fixed.refunds[0])

    back = await credit_invoice(
        tx, fixed.invoice.id, NewCreditNote(reason=Reason.CANCELLATION, refund=RefundMode.AUTOMATIC)
    )
    await carried_out(tx, back.refunds[0])

    assert [(refund.payment_id, refund.amount) for refund in back.refunds] == [(payment.id, euros(96_00))]
    assert (await balance_of(tx, "user-42")).amounts == [euros(0)]
    await assert_sound(tx)
    assert await accounts_of(tx) == {}


async def test_the_corrected_invoice_takes_the_place_of_the_first_in_a_subscription(tx: Tx) -> None:
    """10 seats were meant and 12 billed; on the tenth day, 21 of 31 days of the 10 are given back."""
    await a_shop(tx)
    await a_plan(tx, "seats", a_price("12.40", model=PriceModel.PER_UNIT))
    signup = await sign_up(tx, a_signup(plan="seats", quantity="12"))
    assert signup.invoice is not None
    await paid_by_provider(tx, signup.invoice)
    line = signup.invoice.lines[0]

    fixed = await fix(tx, signup.invoice, CorrectedLine(line=line.id, quantity=Quantity(10)))
    cancelled = await cancel_subscription(
        at(tx, TENTH_DAY), signup.subscription.id, NewCancellation(credit=Credit.PRORATED)
    )

    (billed_line,) = fixed.invoice.lines
    assert (billed_line.period, billed_line.item, billed_line.recurring) == (line.period, line.item, True)
    assert [(note.invoice_id, note.net) for note in cancelled.credit_notes] == [
        (fixed.invoice.id, euros(84_00))
    ]
    assert [refund.amount for refund in cancelled.refunds] == [euros(100_80)]
    await assert_sound(tx)


async def test_a_change_after_a_fix_credits_the_corrected_invoice(tx: Tx) -> None:
    signup = await signed_up(tx)
    assert signup.invoice is not None
    await paid_by_provider(tx, signup.invoice)
    await a_plan(tx, "business", a_price("99.00"))
    cheaper = CorrectedLine(line=signup.invoice.lines[0].id, unit_price=UnitPrice.parse("31.00"))
    fixed = await fix(tx, signup.invoice, cheaper)

    changed = await change_subscription(at(tx, TENTH_DAY), signup.subscription.id, NewChange(plan="business"))

    assert [(note.invoice_id, note.net) for note in changed.credit_notes] == [
        (fixed.invoice.id, euros(21_00))
    ]
    billed_on = await subscriptions.invoices_of_period(tx, signup.subscription)
    assert [(each.invoice_id, each.stopped_at is None) for each in billed_on][:2] == [
        (signup.invoice.id, False),
        (fixed.invoice.id, False),
    ]
    await assert_sound(tx)


async def test_who_is_billed_again_keeps_their_offer(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(percent("50")))
    assert signup.invoice is not None

    fixed = await fix(tx, signup.invoice)
    await release_offers(tx, fixed.credit_note.id)

    status = await tx.conn.fetchval("SELECT status FROM redemptions WHERE tenant_id = $1", tx.tenant)
    assert status in ("redeemed", "exhausted")
    assert fixed.invoice.total == signup.invoice.total


async def test_a_fix_without_subscription_leaves_subscriptions_alone(tx: Tx) -> None:
    case = await billed(tx)
    other = await an_issued_invoice(tx, await _customer(tx, case.invoice))

    await fix(tx, other, priced("1.00"))

    assert [each.invoice_id for each in await subscriptions.invoices_of_period(tx, case.subscription)] == [
        case.invoice.id
    ]


async def _customer(tx: Tx, invoice: Invoice) -> Customer:
    return await parties.customer(tx, invoice.customer_id)


# ── With what others do ──────────────────────────────────────────────────────────────────────────


async def disputed(tx: Tx, payment: Payment) -> Dispute:
    return await open_dispute(tx, payment.id, NewDispute(reference=Name(f"dp_{payment.id}")))


@pytest.mark.parametrize("outcome", list(Verdict))
@pytest.mark.parametrize("price", ["50.00", "80.00", "130.00"])
async def test_a_dispute_of_what_was_kept_comes_to_its_end(tx: Tx, price: str, outcome: Verdict) -> None:
    """Lost, what the customer owes is the new total: on the first invoice, which was paid with that money."""
    invoice = await an_invoice(tx)
    payment = await paid_by_provider(tx, invoice)
    fixed = await fix(tx, invoice, priced(price), refund=RefundMode.AUTOMATIC)
    for refund in fixed.refunds:
        await carried_out(tx, refund)

    dispute = await disputed(tx, payment)
    await assert_sound(tx)
    await close_dispute(tx, dispute.id, NewVerdict(outcome=outcome))
    await assert_sound(tx)

    back = sum(refund.amount.minor for refund in fixed.refunds)
    lost = dispute.amount.minor if outcome is Verdict.LOST else 0
    paid = 120_00 - back - lost
    owed = (await accounts_of(tx)).get("411", 0)
    assert owed == fixed.invoice.total.minor - paid


@pytest.mark.parametrize(("outcome", "due"), [(Verdict.WON, 0), (Verdict.LOST, 96_00)])
async def test_what_may_be_taken_away_is_not_kept_for_another_invoice(
    tx: Tx, outcome: Verdict, due: int
) -> None:
    """Once the dispute is over the invoice is fixed with what has stayed."""
    invoice = await an_invoice(tx)
    dispute = await disputed(tx, await paid_by_provider(tx, invoice))

    await tx.conn.execute("SAVEPOINT before")
    with pytest.raises(Conflict) as refusal:
        await fix(tx, invoice, priced("80.00"), refund=RefundMode.AUTOMATIC)
    await tx.conn.execute("ROLLBACK TO before")
    await close_dispute(tx, dispute.id, NewVerdict(outcome=outcome))
    fixed = await fix(tx, invoice, priced("80.00"), refund=RefundMode.AUTOMATIC)

    assert refusal.value.code == "payment_disputed"
    assert fixed.invoice.settlement.due == euros(due)
    assert sum(refund.amount.minor for refund in fixed.refunds) == (24_00 if outcome is Verdict.WON else 0)


async def test_the_note_of_a_fix_is_not_reversed(tx: Tx) -> None:
    """What it took back would be billed twice, by the corrected invoice and by the reversal."""
    fixed = await fix(tx, await an_invoice(tx), priced("80.00"))

    with pytest.raises(Conflict) as refused:
        await reverse_note(tx, fixed.credit_note.id, NewReversal())

    assert refused.value.code == "credit_note_not_reversible"
