"""What was used is billed when a subscription is cancelled or changes its plan, and stays billed."""

from datetime import datetime, timedelta

import pytest

from billing.invoices.model import Invoice
from billing.tax.model import TaxBehavior
from kernel.database import Pool, Tx, transaction
from kernel.decimals import Quantity, UnitPrice
from kernel.ids import TenantId
from promotions.create_offer import create_offer
from promotions.model import Forever
from refunds.cancel_subscription import cancel_due, cancel_subscription
from refunds.change_subscription import change_subscription
from refunds.model import ChangeWhen, Credit, NewCancellation, NewChange, When
from subscriptions import store
from subscriptions.model import PriceModel, Subscription, Tier
from subscriptions.sign_up import sign_up
from tests.books import assert_sound
from tests.makers import NOON, euros
from tests.promotions.offers import a_new_offer, days, fixed, percent
from tests.shop import a_shop, at, while_open
from tests.subscriptions.metering import a_meter, a_record, per_unit, tiered, used
from tests.subscriptions.plans import a_plan, a_price, a_signup, renewed

DAY = timedelta(days=1)
DUE = NOON + 31 * DAY
LATER = NOON + 10 * DAY


async def metered(
    tx: Tx, *, offer: str | None = None, tax_behavior: TaxBehavior | None = None
) -> Subscription:
    """Thirty-one euros a month and a cent a call; 500 of them so far. Plus has calls at two cents."""
    await a_shop(tx)
    await a_meter(tx)
    await a_plan(tx, "pro", a_price("31.00"), meters={"calls": per_unit("0.01")})
    await a_plan(tx, "plus", a_price("62.00"), meters={"calls": per_unit("0.02")}, tax_behavior=tax_behavior)
    await a_plan(tx, "plain", a_price("31.00"))
    subscription = (await sign_up(tx, a_signup(offer=offer))).subscription
    await used(tx, a_record("1", units=500), now=NOON + DAY)
    return subscription


def lines(invoice: Invoice | None) -> list[tuple[str, str, int]]:
    assert invoice is not None
    return [(line.description, str(line.quantity), line.amount.minor) for line in invoice.lines]


async def test_a_cancellation_bills_what_is_left_of_the_usage(tx: Tx) -> None:
    subscription = await metered(tx)

    cancelled = await cancel_subscription(at(tx, LATER), subscription.id, NewCancellation())

    assert lines(cancelled.invoice) == [("Calls", "500", 5_00)]
    assert cancelled.invoice is not None
    assert cancelled.invoice.lines[0].period is not None
    assert (cancelled.invoice.lines[0].period.end, cancelled.invoice.metadata) == (LATER, {})
    assert [note.net for note in cancelled.credit_notes] == [euros(21_00)]
    assert await store.of_invoice(tx, cancelled.invoice.id) == subscription.id
    await assert_sound(tx)


@pytest.mark.parametrize("credit", Credit)
async def test_whatever_is_credited_the_last_usage_stays_billed(tx: Tx, credit: Credit) -> None:
    subscription = await metered(tx)
    cancelled = await cancel_subscription(at(tx, LATER), subscription.id, NewCancellation(credit=credit))
    assert cancelled.invoice is not None
    assert cancelled.invoice.id not in {note.invoice_id for note in cancelled.credit_notes}
    assert lines(cancelled.invoice) == [("Calls", "500", 5_00)]


async def test_the_unused_part_of_an_invoice_leaves_the_usage_on_it(tx: Tx) -> None:
    first = await renewed(tx, await metered(tx))
    cancelled = await cancel_subscription(at(tx, DUE + 14 * DAY), first.subscription.id, NewCancellation())

    assert lines(first.invoice) == [("Pro", "1", 31_00), ("Calls", "500", 5_00)]
    assert cancelled.invoice is None
    [note] = cancelled.credit_notes
    assert [(line.description, line.net) for line in note.lines] == [("Pro", euros(15_50))]


async def test_who_used_nothing_has_no_last_invoice(tx: Tx) -> None:
    subscription = (await renewed(tx, await metered(tx))).subscription
    cancelled = await cancel_subscription(at(tx, DUE + DAY), subscription.id, NewCancellation())
    assert cancelled.invoice is None


@pytest.mark.parametrize(("when", "until"), [(When.PERIOD_END, DUE), (When.AT, LATER)])
async def test_a_cancellation_to_come_bills_what_was_used_until_then(
    tx: Tx, when: When, until: datetime
) -> None:
    subscription = await metered(tx)
    request = NewCancellation(when=when, at=until if when is When.AT else None)
    await cancel_subscription(tx, subscription.id, request)
    await used(tx, a_record("2", units=1, used_at=until), now=until)  # too late by a moment

    await cancel_due(at(tx, until + DAY), subscription.id)

    [*_, last] = await tx.conn.fetch("SELECT net_minor FROM invoices ORDER BY number")
    assert last["net_minor"] == 5_00
    report = await used(tx, a_record("3", of=subscription), now=until + DAY)
    assert report.records[0].code == "subscription_over"


async def test_a_cancelled_trial_has_used_nothing_that_costs(tx: Tx) -> None:
    await a_shop(tx)
    await a_meter(tx)
    await create_offer(tx, a_new_offer(days(20), reference="TRY"))
    minimum = tiered(PriceModel.GRADUATED, Tier(flat_price=UnitPrice("7.00")))
    await a_plan(tx, meters={"calls": minimum})
    trial = (await sign_up(tx, a_signup(offer="TRY"))).subscription
    await used(tx, a_record("1", units=500))
    cancelled = await cancel_subscription(at(tx, LATER), trial.id, NewCancellation())
    assert cancelled.invoice is None


@pytest.mark.parametrize(("offer", "net"), [("HALF", 2_50), ("FOUR", 5_00)])
async def test_a_percentage_is_taken_off_the_last_usage_and_an_amount_is_not(
    tx: Tx, offer: str, net: int
) -> None:
    for reference, benefit in (("HALF", percent("50")), ("FOUR", fixed(4_00))):
        await create_offer(tx, a_new_offer(benefit, reference=reference, duration=Forever()))
    subscription = await metered(tx, offer=offer)
    cancelled = await cancel_subscription(at(tx, LATER), subscription.id, NewCancellation())
    assert cancelled.invoice is not None
    assert cancelled.invoice.net == euros(net)


async def test_what_is_reported_while_it_is_cancelled_is_not_lost(pool: Pool, tenant: TenantId) -> None:
    """It is in the last invoice, or it is refused and the caller knows."""
    async with transaction(pool, tenant, now=NOON) as tx:
        subscription = await metered(tx)

    refused = await while_open(
        pool,
        tenant,
        lambda tx: cancel_subscription(tx, subscription.id, NewCancellation()),
        lambda tx: used(tx, a_record("2", of=subscription)),
        now=LATER,
    )

    assert refused.records[0].code == "subscription_over"


# ── Changes ─────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("plan", ["plus", "plain"])
@pytest.mark.parametrize("behavior", TaxBehavior)
async def test_what_was_used_on_a_plan_is_billed_by_it_when_another_holds(
    tx: Tx, plan: str, behavior: TaxBehavior
) -> None:
    subscription = await metered(tx, tax_behavior=behavior)
    changed = await change_subscription(at(tx, LATER), subscription.id, NewChange(plan=plan))
    await used(tx, a_record("2", units=100), now=LATER + DAY)

    assert lines(changed.usage_invoice) == [("Calls", "500", 5_00)]
    renewal = await renewed(tx, changed.subscription)
    assert lines(renewal.invoice)[1:] == ([("Calls", "100", 2_00)] if plan == "plus" else [])
    await assert_sound(tx)


async def test_with_the_next_period_the_usage_of_the_last_is_priced_by_the_plan_of_the_last(tx: Tx) -> None:
    subscription = await metered(tx)
    later = NewChange(plan="plain", when=ChangeWhen.PERIOD_END)
    await change_subscription(at(tx, LATER), subscription.id, later)
    assert lines((await renewed(tx, subscription)).invoice) == [("Pro", "1", 31_00), ("Calls", "500", 5_00)]


async def test_another_quantity_of_the_same_plan_bills_no_usage_yet(tx: Tx) -> None:
    await a_shop(tx)
    await a_meter(tx)
    seats = a_price("5.00", model=PriceModel.PER_UNIT)
    await a_plan(tx, "seats", seats, meters={"calls": per_unit("0.01")})
    subscription = (await sign_up(tx, a_signup(plan="seats", quantity="2"))).subscription
    await used(tx, a_record("1", units=500))

    changed = await change_subscription(at(tx, LATER), subscription.id, NewChange(quantity=Quantity(3)))

    assert changed.usage_invoice is None
    assert lines((await renewed(tx, changed.subscription)).invoice)[1:] == [("Calls", "500", 5_00)]
