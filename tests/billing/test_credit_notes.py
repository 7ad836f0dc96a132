"""Credit notes in the books: to the cent, capped, taking what is due first, in turns."""

from itertools import permutations

import pytest

from billing.credit_notes import store
from billing.credit_notes.issue import issue_credit_note
from billing.credit_notes.model import CreditNote, NewCreditNote, Reason
from billing.credit_notes.model import Status as NoteStatus
from billing.invoices import store as invoices
from billing.invoices.model import Invoice, Status
from billing.payments.collect import start_payment
from billing.payments.model import PaymentId
from billing.settlement.balance import balance_of
from billing.tax.model import NET_OF_TAX
from kernel.database import Pool, Tx, transaction
from kernel.decimals import Rate
from kernel.errors import Conflict, DomainError, Invalid, NotFound
from kernel.ids import TenantId
from kernel.text import Note
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, a_line, euros
from tests.shop import (
    a_credit,
    a_payment,
    a_refunding,
    a_shop,
    an_issued_invoice,
    by_amount,
    by_quantity,
    the_rest_of,
    while_open,
)


def amounts_of(note: CreditNote) -> tuple[int, int, int]:
    return note.net.minor, note.tax.minor, note.total.minor


async def a_credit_of(tx: Tx, invoice: Invoice, request: NewCreditNote) -> CreditNote:
    return await issue_credit_note(tx, await invoices.lock(tx, invoice.id), request, refund=a_refunding())


async def an_invoice_in_a_shop(tx: Tx, **shop: str) -> Invoice:
    return await an_issued_invoice(tx, await a_shop(tx, **shop))  # type: ignore[arg-type]


async def test_the_credit_notes_of_the_oracle(tx: Tx) -> None:
    invoice = await an_invoice_in_a_shop(tx)
    a, b, c = invoice.lines

    assert invoice.total == euros(179_76)
    assert amounts_of(await a_credit(tx, invoice, by_quantity(a, "0.5"))) == (43_06, 8_61, 51_67)
    assert amounts_of(await a_credit(tx, invoice, the_rest_of(a), the_rest_of(c))) == (68_88, 13_78, 82_66)
    assert amounts_of(await a_credit(tx, invoice, the_rest_of(b))) == (43_06, 2_37, 45_43)
    assert (await invoices.get(tx, invoice.id)).settlement.credited == invoice.total
    await assert_sound(tx)


@pytest.mark.parametrize("order", list(permutations("abc")))
async def test_in_every_order_they_add_up(tx: Tx, order: tuple[str, ...]) -> None:
    invoice = await an_invoice_in_a_shop(tx)
    await a_payment(tx, invoice, 100_00)
    lines = dict(zip("abc", invoice.lines, strict=True))

    notes = [await a_credit(tx, invoice, the_rest_of(lines[each])) for each in order]

    assert sum(note.total.minor for note in notes) == 179_76
    assert sum(note.tax.minor for note in notes) == 24_76
    await assert_sound(tx)


async def test_a_note_is_read_back_as_it_was_issued(tx: Tx) -> None:
    invoice = await an_invoice_in_a_shop(tx)
    note = await a_credit(tx, invoice, by_quantity(invoice.lines[0], "0.5"), by_amount(invoice.lines[1], 1))

    assert await store.get(tx, note.id) == note
    assert (note.number, note.invoice_number, note.invoice_issued_on) == (
        "A2026-000001",
        "F2026-000001",
        invoice.issued_on,
    )


# ── By total, by percentage, net of tax ─────────────────────────────────────────────────────────────────


async def test_a_total_a_percentage_and_the_rest_are_the_invoice(tx: Tx) -> None:
    invoice = await an_invoice_in_a_shop(tx)
    await a_payment(tx, invoice, 100_00)

    notes = [
        await a_credit_of(tx, invoice, NewCreditNote(reason=Reason.COMMERCIAL_GESTURE, total=euros(50_00))),
        await a_credit_of(tx, invoice, NewCreditNote(reason=Reason.EARLY_PAYMENT, percent=Rate.parse("2"))),
        await a_credit(tx, invoice),
    ]

    assert [note.total.minor for note in notes] == [50_00, 3_59, 126_17]
    assert sum(note.tax.minor for note in notes) == 24_76
    assert (await accounts_of(tx)).get("665") == 3_10
    await assert_sound(tx)


async def test_net_of_tax_the_vat_stays_due_on_what_was_received(tx: Tx) -> None:
    """10.00 of the 100.00 are credited without the 2.00 of VAT on them, which the rest leaves too."""
    invoice = await an_issued_invoice(tx, await a_shop(tx), [a_line(price="100.00")])
    await a_payment(tx, invoice)
    line = by_amount(invoice.lines[0], 10_00)

    note = await a_credit_of(
        tx, invoice, NewCreditNote(reason=Reason.COMMERCIAL_GESTURE, lines=[line], net_of_tax=True)
    )
    assert amounts_of(note) == (10_00, 0, 10_00)
    assert (note.lines[0].tax, note.taxes[0].group) == (NET_OF_TAX, NET_OF_TAX)
    assert await store.get(tx, note.id) == note
    await assert_sound(tx)

    assert amounts_of(await a_credit(tx, invoice)) == (90_00, 18_00, 108_00)
    await assert_sound(tx)


# ── What is still due comes first ───────────────────────────────────────────────────────────────────────


async def test_a_note_on_an_unpaid_invoice_lowers_what_is_due_and_leaves_nothing(tx: Tx) -> None:
    invoice = await an_invoice_in_a_shop(tx)
    note = await a_credit(tx, invoice, by_amount(invoice.lines[0], 43_06))
    after = (await invoices.get(tx, invoice.id)).settlement

    assert (note.settlement.applied, note.settlement.left) == (euros(51_67), euros(0))
    assert note.settlement.status is NoteStatus.USED
    assert (after.due, after.status) == (euros(128_09), Status.PARTLY_SETTLED)
    await assert_sound(tx)


async def test_a_note_of_everything_settles_an_unpaid_invoice(tx: Tx) -> None:
    invoice = await an_invoice_in_a_shop(tx)
    await a_credit(tx, invoice)

    assert (await invoices.get(tx, invoice.id)).settlement.status is Status.SETTLED
    assert await accounts_of(tx) == {}
    await assert_sound(tx)


async def test_only_what_was_paid_is_left_on_the_note(tx: Tx) -> None:
    invoice = await an_invoice_in_a_shop(tx)
    await a_payment(tx, invoice, 100_00)
    note = await a_credit(tx, invoice)

    assert (note.settlement.applied, note.settlement.left) == (euros(79_76), euros(100_00))
    assert note.settlement.status is NoteStatus.PARTLY_USED
    await assert_sound(tx)


async def test_what_is_left_on_notes_is_the_customers_balance(tx: Tx) -> None:
    invoice = await an_invoice_in_a_shop(tx)
    await a_payment(tx, invoice)
    await a_credit(tx, invoice, by_amount(invoice.lines[0], 43_06))
    await a_credit(tx, invoice, the_rest_of(invoice.lines[1]))

    assert (await balance_of(tx, "user-42")).amounts == [euros(51_67 + 45_43)]
    assert (await balance_of(tx, str(invoice.customer_id))).customer_id == invoice.customer_id


# ── What is refused ─────────────────────────────────────────────────────────────────────────────────────


async def test_not_one_cent_more_than_the_invoice(tx: Tx) -> None:
    invoice = await an_invoice_in_a_shop(tx)
    await a_credit(tx, invoice, by_amount(invoice.lines[0], 86_00))

    with pytest.raises(Conflict) as refused:
        await a_credit(tx, invoice, by_amount(invoice.lines[0], 12))
    assert refused.value.code == "credit_exceeds_line"
    await a_credit(tx, invoice)
    with pytest.raises(Conflict) as refused:
        await a_credit(tx, invoice)
    assert refused.value.code == "nothing_to_credit"
    await assert_sound(tx)


async def test_units_credited_by_an_earlier_note_count(tx: Tx) -> None:
    invoice = await an_invoice_in_a_shop(tx)
    await a_credit(tx, invoice, by_quantity(invoice.lines[2], "2"))

    with pytest.raises(Conflict, match="1 of 3 units"):
        await a_credit(tx, invoice, by_quantity(invoice.lines[2], "2"))
    await a_credit(tx, invoice, by_quantity(invoice.lines[2], "1"))
    assert (await store.credited_lines(tx, invoice.id))[invoice.lines[2].id].amount == euros(25_83)


async def test_an_invoice_of_nothing_has_nothing_to_credit(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx), [a_line(price="0.00")])

    with pytest.raises(Conflict) as refused:
        await a_credit(tx, invoice)
    assert refused.value.code == "nothing_to_credit"


async def test_another_reason_says_which(tx: Tx) -> None:
    invoice = await an_invoice_in_a_shop(tx)
    with pytest.raises(Invalid) as refused:
        await a_credit(tx, invoice, reason=Reason.OTHER)
    assert refused.value.code == "reason_text_required"

    request = NewCreditNote(reason=Reason.OTHER, reason_text=Note("Goodwill"))
    note = await issue_credit_note(tx, invoice, request, refund=a_refunding())
    assert note.reason_text == "Goodwill"


async def test_an_invoice_is_not_credited_while_a_payment_is_under_way(tx: Tx) -> None:
    invoice = await an_invoice_in_a_shop(tx, payment_method="pm_sandbox_ok")
    await start_payment(tx, "sandbox", PaymentId.new(), invoice.id)

    with pytest.raises(Conflict, match=r"179\.76 EUR on F2026-000001 is under way") as refused:
        await a_credit(tx, invoice)
    assert refused.value.code == "payment_in_flight"


async def test_a_line_of_another_invoice_cannot_be_credited_here(tx: Tx) -> None:
    customer = await a_shop(tx)
    invoice, other = await an_issued_invoice(tx, customer), await an_issued_invoice(tx, customer)

    with pytest.raises(NotFound):
        await a_credit(tx, invoice, the_rest_of(other.lines[0]))


async def test_a_refused_note_takes_no_number(tx: Tx) -> None:
    invoice = await an_invoice_in_a_shop(tx)
    with pytest.raises(DomainError):
        await a_credit(tx, invoice, by_amount(invoice.lines[0], 86_12))

    assert (await a_credit(tx, invoice)).number == "A2026-000001"


# ── Accounts ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("reason", "account"),
    [(Reason.REBATE, "709"), (Reason.EARLY_PAYMENT, "665"), (Reason.BILLING_ERROR, "706")],
)
async def test_the_reason_says_which_account(tx: Tx, reason: Reason, account: str) -> None:
    invoice = await an_invoice_in_a_shop(tx)
    before = (await accounts_of(tx)).get(account, 0)
    await a_credit(tx, invoice, the_rest_of(invoice.lines[1]), reason=reason)

    assert (await accounts_of(tx))[account] - before == 43_06
    await assert_sound(tx)


# ── In turns ────────────────────────────────────────────────────────────────────────────────────────────


async def test_two_credits_of_the_same_line_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        invoice = await an_invoice_in_a_shop(tx)
    line = invoice.lines[0]

    with pytest.raises(Conflict, match=r"6\.11 EUR .* not 80\.00 EUR"):
        await while_open(
            pool,
            tenant,
            lambda tx: a_credit(tx, invoice, by_amount(line, 80_00)),
            lambda tx: a_credit(tx, invoice, by_amount(line, 80_00)),
        )
    async with transaction(pool, tenant, now=NOON) as tx:
        assert (await invoices.get(tx, invoice.id)).settlement.credited == euros(96_00)
        await assert_sound(tx)


async def test_a_payment_and_a_credit_take_turns(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        invoice = await an_invoice_in_a_shop(tx)

    note = await while_open(pool, tenant, lambda tx: a_payment(tx, invoice), lambda tx: a_credit(tx, invoice))

    assert note.settlement.left == invoice.total
    async with transaction(pool, tenant, now=NOON) as tx:
        await assert_sound(tx)
