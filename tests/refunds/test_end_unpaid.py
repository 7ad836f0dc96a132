"""The final action of dunning: carried out once, and not when the money came after all."""

import pytest

from billing.dunning import store as dunning
from billing.dunning.begin import fall_overdue
from billing.dunning.model import Status as DunningStatus
from billing.dunning.schedule import Action, FinalAction, FinalCredit, Schedule
from billing.dunning.take_step import take_step
from billing.parties.change_settings import change_settings
from billing.parties.model import SettingsChange
from kernel.database import Tx
from refunds.end_unpaid import end_unpaid
from subscriptions import store
from subscriptions.fall_past_due import follow_invoice, standing
from subscriptions.model import Status
from subscriptions.resume import resume_subscription
from tests.books import assert_sound
from tests.refunds.cases import Billed, billed
from tests.shop import a_payment, a_shop, an_issued_invoice, at


async def exhausted(
    tx: Tx, action: Action = Action.CANCEL, credit: FinalCredit = FinalCredit.NONE
) -> tuple[Tx, Billed]:
    """One day after an invoice of 34.80 was due; the job that cancels is still to come."""
    final = FinalAction(after_days=1, action=action, credit=credit)
    await change_settings(tx, SettingsChange(dunning_send_invoice=Schedule(final=final)))
    case = await billed(tx)
    for _ in range(3):
        last = await tx.conn.fetchval("SELECT max(next_at) FROM dunnings WHERE tenant_id = $1", tx.tenant)
        tx = at(tx, last or case.invoice.issued_at.replace(month=2, day=15))
        await fall_overdue(tx, case.invoice.id)
        await take_step(tx, case.invoice.id)
    await follow_invoice(tx, case.invoice.id)
    return tx, case


async def status_of(tx: Tx, case: Billed) -> Status:
    return (await store.get(tx, case.subscription.id)).status


async def test_the_subscription_is_cancelled_once(tx: Tx) -> None:
    """What is credited is the current period, which began in the meantime; the old invoice stays due."""
    tx, case = await exhausted(tx, credit=FinalCredit.FULL)
    assert await status_of(tx, case) is Status.PAST_DUE
    await end_unpaid(tx, case.invoice.id)
    await end_unpaid(tx, case.invoice.id)

    assert await status_of(tx, case) is Status.CANCELLED
    assert (await dunning.get(tx, case.invoice.id)).status is DunningStatus.EXHAUSTED
    (credited,) = await tx.conn.fetch("SELECT invoice_id, total_minor FROM credit_notes")
    assert credited["invoice_id"] != case.invoice.id.uuid
    assert credited["total_minor"] == 34_80
    await follow_invoice(tx, case.invoice.id)
    assert await status_of(tx, case) is Status.CANCELLED
    await assert_sound(tx)


async def test_the_subscription_is_paused_once_and_stays_so_when_the_money_comes(tx: Tx) -> None:
    tx, case = await exhausted(tx, Action.PAUSE, FinalCredit.PRORATED)
    await end_unpaid(tx, case.invoice.id)
    await end_unpaid(tx, case.invoice.id)
    assert await status_of(tx, case) is Status.PAUSED
    (credited,) = await tx.conn.fetch("SELECT invoice_id FROM credit_notes")
    assert credited["invoice_id"] != case.invoice.id.uuid

    await a_payment(tx, case.invoice)
    await follow_invoice(tx, case.invoice.id)
    assert await status_of(tx, case) is Status.PAUSED
    assert (await resume_subscription(tx, case.subscription.id)).subscription.status is Status.ACTIVE


async def test_resumed_while_the_invoice_is_overdue_it_is_past_due(tx: Tx) -> None:
    tx, case = await exhausted(tx, Action.PAUSE)
    await end_unpaid(tx, case.invoice.id)
    assert (await resume_subscription(tx, case.subscription.id)).subscription.status is Status.PAST_DUE


async def test_settled_meanwhile_nothing_is_cancelled(tx: Tx) -> None:
    tx, case = await exhausted(tx)
    await a_payment(tx, case.invoice)
    await end_unpaid(tx, case.invoice.id)
    assert await status_of(tx, case) is Status.PAST_DUE

    await follow_invoice(tx, case.invoice.id)
    assert await status_of(tx, case) is Status.ACTIVE


async def test_an_invoice_of_no_subscription_cancels_none(tx: Tx) -> None:
    invoice = await an_issued_invoice(tx, await a_shop(tx))
    await follow_invoice(tx, invoice.id)
    await end_unpaid(tx, invoice.id)


@pytest.mark.parametrize("status", Status)
def test_only_what_is_past_due_recovers(status: Status) -> None:
    follows = {Status.TRIALING, Status.ACTIVE, Status.PAST_DUE}
    assert standing(status, overdue=True) is (Status.PAST_DUE if status in follows else status)
    assert standing(status, overdue=False) is (Status.ACTIVE if status is Status.PAST_DUE else status)
