"""Dunning: its days, its states, and that no step is taken twice."""

from datetime import UTC, date, datetime, timedelta
from itertools import product

import pytest
from msgspec.structs import replace

from billing.dunning import rules, schedule, store
from billing.dunning.begin import OVERDUE, STEP, begin, fall_overdue, watch
from billing.dunning.model import NEXT, Dunning, NewPause, Status
from billing.dunning.pause import pause_dunning, resume_dunning
from billing.dunning.schedule import FinalAction, FinalCredit, Schedule, Step
from billing.dunning.take_step import take_step
from billing.gateways.model import Outcome
from billing.gateways.model import Status as OutcomeStatus
from billing.invoices import store as invoices
from billing.invoices.model import Collection, Invoice
from billing.payments.collect import finish_payment, start_payment
from billing.payments.events import PaymentRequested
from billing.payments.model import PaymentId
from billing.settlement.settle import settle
from kernel.database import Pool, Tx, transaction
from kernel.errors import Conflict
from kernel.events import type_of
from kernel.ids import TenantId
from refunds.model import Credit, PauseCredit
from subscriptions.sign_up import sign_up
from tests.books import assert_sound
from tests.makers import NOON, an_invoice, euros
from tests.shop import a_credit, a_payment, a_shop, an_issued_invoice, at, while_open
from tests.subscriptions.plans import a_shop_with_a_plan, a_signup

DAY = timedelta(days=1)
OVERDUE_AT = datetime(2026, 2, 14, 23, tzinfo=UTC)  # midnight in Paris, after the thirtieth day
FIRST = datetime(2026, 2, 17, 8, tzinfo=UTC)  # nine in the morning


# ── the days ─────────────────────────────────────────────────────────────────────────────────────


def test_steps_of_a_sent_invoice_come_in_the_morning_where_the_seller_is() -> None:
    """Also across the night of 29 March 2026, when Paris loses an hour."""
    steps = [Step(after_days=days) for days in (1, 14, 15)]
    sent = replace(an_invoice(), due_on=date(2026, 3, 14), collection=Collection.SEND_INVOICE)
    dunning = rules.begun(sent, Schedule(steps=tuple(steps)), None, now=rules.overdue_from(sent))
    assert moments(dunning, sent) == ["03-15 08:00", "03-28 08:00", "03-29 07:00"]


def test_steps_after_a_charge_that_failed_come_at_its_time_of_day() -> None:
    charged = replace(an_invoice(), collection=Collection.AUTOMATIC)
    dunning = rules.begun(charged, schedule.AUTOMATIC, None, now=NOON)
    assert moments(dunning, charged) == ["01-18 11:00", "01-20 11:00", "01-22 11:00", "01-29 11:00"]


def test_a_step_that_comes_late_moves_those_after_it_by_whole_days() -> None:
    charged = replace(an_invoice(), collection=Collection.AUTOMATIC)
    dunning = rules.begun(charged, schedule.AUTOMATIC, None, now=NOON)
    an_hour_late = rules.stepped(dunning, charged, now=NOON + 3 * DAY + timedelta(hours=1))
    five_days_late = rules.stepped(dunning, charged, now=NOON + 8 * DAY)
    assert an_hour_late.next_at == NOON + 5 * DAY
    assert five_days_late.next_at == NOON + 10 * DAY


def test_no_pause_brings_a_step_forward() -> None:
    charged = replace(an_invoice(), collection=Collection.AUTOMATIC)
    dunning = rules.begun(charged, schedule.AUTOMATIC, None, now=NOON)
    paused = rules.paused(dunning, charged, until=NOON + DAY, now=NOON)
    assert paused.next_at == dunning.next_at


def moments(dunning: Dunning, invoice: Invoice) -> list[str]:
    """When each step is due, each taken at its time."""
    found = []
    while dunning.next_at is not None:
        found.append(f"{dunning.next_at.astimezone(UTC):%m-%d %H:%M}")
        dunning = rules.stepped(dunning, invoice, now=dunning.next_at)
    return found


# ── the states ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("before", "after"), list(product(Status, Status)))
def test_every_pair_of_states_is_allowed_or_refused(before: Status, after: Status) -> None:
    dunning = replace(rules.to_come(an_invoice(), Schedule(), now=NOON), status=before)
    if after is before or after in NEXT[before]:
        assert dunning.to(after).status is after
    else:
        with pytest.raises(Conflict, match=f"{before} cannot be {after}"):
            dunning.to(after)


async def test_what_is_settled_in_time_is_never_overdue(tx: Tx) -> None:
    invoice = await a_sent_invoice(tx)
    await watch(tx, invoice)
    await a_payment(tx, invoice)
    await fall_overdue(at(tx, OVERDUE_AT), invoice.id)
    assert await store.find(tx, invoice.id) is None
    assert "invoice.overdue" not in said(tx)


async def test_its_day_is_whole(tx: Tx) -> None:
    invoice = await a_sent_invoice(tx)
    await fall_overdue(at(tx, OVERDUE_AT - timedelta(seconds=1)), invoice.id)
    assert await store.find(tx, invoice.id) is None
    await fall_overdue(at(tx, OVERDUE_AT), invoice.id)
    assert (await store.get(tx, invoice.id)).next_at == FIRST


async def test_beginning_twice_begins_once(tx: Tx) -> None:
    invoice = await an_overdue_invoice(tx)
    await take_step(at(tx, FIRST), invoice.id)
    await fall_overdue(at(tx, FIRST + DAY), invoice.id)
    assert (await store.get(tx, invoice.id)).steps_taken == 1
    assert said(tx).count("invoice.overdue") == 1


async def test_a_part_settles_nothing_and_the_rest_does(tx: Tx) -> None:
    invoice = await an_overdue_invoice(tx)
    await a_payment(tx, invoice, 100_00)
    assert (await store.get(tx, invoice.id)).status is Status.RUNNING
    await a_credit(tx, invoice)
    assert (await store.get(tx, invoice.id)).status is Status.RECOVERED
    assert said(tx).count("invoice.recovered") == 1
    await take_step(at(tx, FIRST), invoice.id)
    assert "invoice.reminder_due" not in said(tx)
    await assert_sound(tx)


async def test_a_settlement_undone_is_dunned_anew(tx: Tx) -> None:
    invoice = await an_overdue_invoice(tx)
    await take_step(at(tx, FIRST), invoice.id)
    settled = await settle(at(tx, FIRST), await locked(tx, invoice), offset=invoice.total)
    later = at(tx, FIRST + 30 * DAY)
    await settle(later, settled, offset=euros(-10_00))

    assert (await due(tx, OVERDUE))[-1] == OVERDUE_AT
    await fall_overdue(later, invoice.id)
    dunning = await store.get(tx, invoice.id)
    assert (dunning.status, dunning.overdue_at, dunning.steps_taken) == (Status.RUNNING, later.now, 0)
    assert said(tx).count("invoice.overdue") == 2


async def test_settled_again_before_it_is_overdue_again_it_recovers_once(tx: Tx) -> None:
    invoice = await an_overdue_invoice(tx)
    settled = await settle(tx, await locked(tx, invoice), offset=invoice.total)
    undone = await settle(tx, settled, offset=euros(-10_00))
    await settle(tx, undone, offset=euros(10_00))
    assert said(tx).count("invoice.recovered") == 1


async def test_a_pause_that_is_over_in_time_stops_nothing(tx: Tx) -> None:
    invoice = await a_sent_invoice(tx)
    await pause_dunning(tx, invoice.id, NewPause(until=date(2026, 2, 1)))
    await take_step(at(tx, FIRST - 10 * DAY), invoice.id)
    await fall_overdue(at(tx, OVERDUE_AT), invoice.id)
    assert standing(await store.get(tx, invoice.id)) == (Status.RUNNING, FIRST)


async def test_a_pause_that_is_resumed_in_time_stops_nothing(tx: Tx) -> None:
    invoice = await a_sent_invoice(tx)
    await pause_dunning(tx, invoice.id, NewPause())
    await resume_dunning(tx, invoice.id)
    await fall_overdue(at(tx, OVERDUE_AT), invoice.id)
    assert standing(await store.get(tx, invoice.id)) == (Status.RUNNING, FIRST)


async def test_a_pause_without_end_outlasts_the_day(tx: Tx) -> None:
    invoice = await a_sent_invoice(tx)
    await pause_dunning(tx, invoice.id, NewPause())
    await fall_overdue(at(tx, OVERDUE_AT), invoice.id)
    assert standing(await store.get(tx, invoice.id)) == (Status.PAUSED, None)
    resumed = await resume_dunning(at(tx, FIRST + DAY), invoice.id)
    assert standing(resumed) == (Status.RUNNING, FIRST + DAY)


# ── charges ──────────────────────────────────────────────────────────────────────────────────────


async def test_a_charge_that_fails_before_the_day_of_a_sent_invoice_is_not_overdue(tx: Tx) -> None:
    invoice = await a_sent_invoice(tx)
    await begin(tx, await locked(tx, invoice), charge_failed=True)
    assert await store.find(tx, invoice.id) is None


async def test_a_step_taken_twice_charges_once(tx: Tx) -> None:
    invoice = await a_failed_charge(tx)
    third_day = at(tx, NOON + 3 * DAY)
    await take_step(third_day, invoice.id)
    await take_step(third_day, invoice.id)
    assert len(requests(tx)) == 1
    assert (await due(tx, STEP))[1:] == [NOON + 5 * DAY]


async def test_two_workers_with_the_same_step_charge_once(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        invoice = await a_failed_charge(tx)

    async def take(tx: Tx) -> int:
        await take_step(tx, invoice.id)
        return len(requests(tx))

    assert await while_open(pool, tenant, take, take, now=NOON + 3 * DAY) == 0
    async with transaction(pool, tenant, now=NOON) as tx:
        assert (await store.get(tx, invoice.id)).steps_taken == 1
        assert await tx.conn.fetchval("SELECT count(*) FROM events WHERE type = 'payment.requested'") == 1


async def test_while_a_payment_of_all_that_is_due_is_under_way_no_step_is_taken(tx: Tx) -> None:
    invoice = await a_failed_charge(tx)
    await start_payment(tx, "sandbox", PaymentId.new(), invoice.id)
    await take_step(at(tx, NOON + 3 * DAY), invoice.id)
    assert requests(tx) == []
    assert (await store.get(tx, invoice.id)).steps_taken == 0


async def test_a_step_before_its_time_is_not_taken(tx: Tx) -> None:
    invoice = await a_failed_charge(tx)
    await take_step(at(tx, NOON + 3 * DAY - timedelta(seconds=1)), invoice.id)
    assert requests(tx) == []


def test_the_final_action_credits_what_cancelling_and_pausing_by_hand_do() -> None:
    assert [each.value for each in FinalCredit] == [each.value for each in Credit]
    assert {each.value for each in FinalCredit} - {"full"} == {each.value for each in PauseCredit}
    assert FinalAction(after_days=1).credit is FinalCredit.NONE


# ── what the tests share ─────────────────────────────────────────────────────────────────────────


async def a_sent_invoice(tx: Tx) -> Invoice:
    return await an_issued_invoice(tx, await a_shop(tx))


async def an_overdue_invoice(tx: Tx) -> Invoice:
    invoice = await a_sent_invoice(tx)
    await fall_overdue(at(tx, OVERDUE_AT), invoice.id)
    return invoice


async def a_failed_charge(tx: Tx) -> Invoice:
    """At NOON, of 34.80 that is collected automatically."""
    await a_shop_with_a_plan(tx)
    request = a_signup(payment_method="pm_sandbox_declined", collection=Collection.AUTOMATIC)
    invoice = (await sign_up(tx, request)).invoice
    assert invoice is not None
    payment = await start_payment(tx, "sandbox", PaymentId.new(), invoice.id)
    assert payment is not None
    declined = Outcome(status=OutcomeStatus.FAILED, reference="ch_1", failure_code="card_declined")
    await finish_payment(tx, payment, declined)
    return invoice


def standing(dunning: Dunning) -> tuple[Status, datetime | None]:
    return dunning.status, dunning.next_at


async def locked(tx: Tx, invoice: Invoice) -> Invoice:
    return await invoices.lock(tx, invoice.id)


async def due(tx: Tx, kind: str) -> list[datetime]:
    rows = await tx.conn.fetch(
        "SELECT scheduled_for FROM jobs WHERE tenant_id = $1 AND kind = $2 ORDER BY id", tx.tenant, kind
    )
    return [row["scheduled_for"] for row in rows]


def said(tx: Tx) -> list[str]:
    return [type_of(event) for event in tx.events]


def requests(tx: Tx) -> list[PaymentRequested]:
    return [event for event in tx.events if isinstance(event, PaymentRequested)]
