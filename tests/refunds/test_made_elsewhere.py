"""Refunds that were made at the provider itself: each is matched, gets a note, or waits to be linked."""

from datetime import timedelta

import pytest

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNote, NewCreditNote, Reason
from billing.invoices.model import Invoice
from billing.parties.change_settings import change_settings
from billing.parties.model import ProviderRefunds, RefundMode, SettingsChange
from billing.payments import store as payments
from billing.payments.model import Payment
from kernel.database import Tx
from kernel.errors import DomainError
from kernel.paging import Window
from refunds import store
from refunds.credit_invoice import credit_invoice
from refunds.made_elsewhere import link_refund, refund_made_elsewhere
from refunds.model import GivenBack, NewLink, Refund, Status
from refunds.send_refund import finish_refund
from tests.books import accounts_of, assert_sound
from tests.makers import NOON, euros
from tests.refunds.cases import declined, made, paid_by_provider, settlement_of
from tests.shop import a_shop, an_issued_invoice, another_customer, at

ALL = 179_76


async def a_payment(tx: Tx, minor: int | None = None) -> tuple[Invoice, Payment]:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    payment = await paid_by_provider(tx, invoice, minor)
    return invoice, await payments.get(tx, payment.id)


async def go_back(tx: Tx, payment: Payment, minor: int, reference: str = "re_9") -> Refund:
    refund = await refund_made_elsewhere(tx, payment, made(payment, minor, reference))
    assert refund == await store.get(tx, refund.id)
    await assert_sound(tx)
    return refund


async def credit(tx: Tx, invoice: Invoice, mode: RefundMode, minor: int | None = None) -> GivenBack:
    total = None if minor is None else euros(minor)
    request = NewCreditNote(reason=Reason.CANCELLATION, refund=mode, total=total)
    return await credit_invoice(tx, invoice.id, request)


async def notes_on(tx: Tx, invoice: Invoice) -> list[CreditNote]:
    page = await credit_notes.page(tx, Window(limit=10), customer_id=None, invoice_id=invoice.id)
    return list(page.data)


async def link_only(tx: Tx) -> None:
    await change_settings(tx, SettingsChange(provider_refunds=ProviderRefunds.LINK_ONLY))


async def test_a_note_is_issued_for_it(tx: Tx) -> None:
    invoice, payment = await a_payment(tx)
    refund = await go_back(tx, payment, 50_00)

    (note,) = await notes_on(tx, invoice)
    assert (refund.credit_note_id, refund.status, refund.gateway_reference) == (
        note.id,
        Status.SUCCEEDED,
        "re_9",
    )
    assert (note.total, note.settlement.refunded, note.settlement.left) == (
        euros(50_00),
        euros(50_00),
        euros(0),
    )
    assert (note.reason, note.reason_text) == (
        Reason.COMMERCIAL_GESTURE,
        "Remboursement effectué auprès du prestataire de paiement",
    )
    assert (await payments.get(tx, payment.id)).refunded == euros(50_00)


async def test_told_again_it_is_the_same_refund(tx: Tx) -> None:
    _, payment = await a_payment(tx)
    assert await go_back(tx, payment, 50_00) == await go_back(tx, payment, 50_00)


async def test_a_note_that_promised_it_takes_it_before_one_that_leaves_it(tx: Tx) -> None:
    invoice, payment = await a_payment(tx)
    await credit(tx, invoice, RefundMode.NONE, 60_00)
    promised = (await credit(tx, invoice, RefundMode.MANUAL, 50_00)).credit_note
    refund = await go_back(tx, payment, 50_00)

    assert refund.credit_note_id == promised.id
    assert len(await notes_on(tx, invoice)) == 2
    settlement = (await credit_notes.get(tx, promised.id)).settlement
    assert (settlement.promised, settlement.refunded) == (euros(0), euros(50_00))


@pytest.mark.parametrize("mode", [RefundMode.AUTOMATIC, RefundMode.DEFERRED])
async def test_it_takes_the_place_of_one_that_failed_or_waits(tx: Tx, mode: RefundMode) -> None:
    """Somebody saw that it failed, or did not want to wait, and made it at the provider."""
    invoice, payment = await a_payment(tx)
    given = await credit(tx, invoice, mode)
    if mode is RefundMode.AUTOMATIC:
        await finish_refund(tx, given.refunds[0].id, declined())

    refund = await go_back(tx, payment, ALL)

    before = await store.get(tx, given.refunds[0].id)
    assert before.status in (Status.RECORDED_EXTERNAL, Status.CANCELLED)
    assert (refund.credit_note_id, refund.retry_of) == (given.credit_note.id, before.id)
    assert await accounts_of(tx) == {}


async def test_without_notes_it_waits_to_be_linked(tx: Tx) -> None:
    invoice, payment = await a_payment(tx)
    await link_only(tx)
    refund = await go_back(tx, payment, ALL)

    assert (refund.credit_note_id, refund.invoice_id) == (None, None)
    assert await notes_on(tx, invoice) == []
    (found,) = (
        await store.page(tx, Window(limit=9), customer_id=None, credit_note_id=None, unlinked=True)
    ).data
    assert found == refund
    assert (await settlement_of(tx, invoice)).paid == euros(ALL)

    note = (await credit(tx, invoice, RefundMode.NONE)).credit_note
    linked = await link_refund(at(tx, NOON + timedelta(days=2)), refund.id, NewLink(credit_note=note.id))

    assert linked == await store.get(tx, refund.id)
    assert (linked.credit_note_id, linked.invoice_id) == (note.id, invoice.id)
    assert (await credit_notes.get(tx, note.id)).settlement.refunded == euros(ALL)
    assert await accounts_of(tx) == {}
    await assert_sound(tx)


async def test_of_an_invoice_that_is_due_still_no_note_is_issued(tx: Tx) -> None:
    """A note would take off first what is due, and nobody said that it need not be paid."""
    invoice, payment = await a_payment(tx, 100_00)
    refund = await go_back(tx, payment, 40_00)

    assert (refund.credit_note_id, await notes_on(tx, invoice)) == (None, [])


async def test_more_than_is_left_to_credit_waits_to_be_linked(tx: Tx) -> None:
    invoice, payment = await a_payment(tx)
    await credit(tx, invoice, RefundMode.NONE, 100_00)
    refund = await go_back(tx, payment, 100_01)

    assert refund.credit_note_id is None
    assert len(await notes_on(tx, invoice)) == 1


async def test_what_is_linked_stays_linked(tx: Tx) -> None:
    invoice, payment = await a_payment(tx)
    refund = await go_back(tx, payment, 50_00)
    note = (await credit(tx, invoice, RefundMode.NONE)).credit_note

    with pytest.raises(DomainError) as refused:
        await link_refund(tx, refund.id, NewLink(credit_note=note.id))
    assert refused.value.code == "refund_linked"


async def test_it_is_linked_to_what_can_go_back_and_to_nothing_else(tx: Tx) -> None:
    invoice, payment = await a_payment(tx)
    await link_only(tx)
    refund = await go_back(tx, payment, 50_00)
    small = (await credit(tx, invoice, RefundMode.NONE, 49_99)).credit_note
    theirs = await an_issued_invoice(tx, await another_customer(tx))
    await paid_by_provider(tx, theirs)
    other = (await credit(tx, theirs, RefundMode.NONE)).credit_note

    for note, code in ((small, "refund_exceeds_note"), (other, "customer_mismatch")):
        with pytest.raises(DomainError) as refused:
            await link_refund(tx, refund.id, NewLink(credit_note=note.id))
        assert refused.value.code == code


async def test_one_without_a_note_that_fails_later_is_booked_back_and_leaves_nothing_to_decide(
    tx: Tx,
) -> None:
    _, payment = await a_payment(tx)
    await link_only(tx)
    refund = await go_back(tx, payment, 50_00)
    before = await accounts_of(tx)

    await finish_refund(tx, refund.id, declined("re_9"))
    after = await accounts_of(tx)
    assert after["512"] - before["512"] == 50_00
    assert (await store.get(tx, refund.id)).status is Status.CANCELLED
    assert (await payments.get(tx, payment.id)).refunded == euros(0)
    await assert_sound(tx)


async def test_what_the_payment_does_not_have_is_told_and_not_recorded(tx: Tx) -> None:
    invoice, payment = await a_payment(tx)
    await credit(tx, invoice, RefundMode.AUTOMATIC)

    with pytest.raises(DomainError) as refused:
        await refund_made_elsewhere(tx, payment, made(payment, 50_00))
    assert refused.value.code == "payment_refunded_meanwhile"
