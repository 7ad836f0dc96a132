"""What was billed can be decided again, and what would have been can be tried."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from billing.parties import store as parties
from kernel.database import Tx
from kernel.decimals import Quantity, Rate
from kernel.errors import Conflict, DomainError
from kernel.text import Name, Reference
from promotions.coupons.codes import Code
from promotions.coupons.create_coupon import create_coupon
from promotions.coupons.model import NewCoupon
from promotions.create_offer import create_offer
from promotions.model import Conditions, Forever, NewOffer, Once, Percent, Periods
from promotions.rebates.model import NewRebateContract, RebatePeriod, RebateTier
from subscriptions.backtests import advance as advancing
from subscriptions.backtests import store
from subscriptions.backtests.advance import advance
from subscriptions.backtests.create_back_test import cancel_back_test, create_back_test
from subscriptions.backtests.discounts import discounts_of
from subscriptions.backtests.model import BackTest, BackTestStatus, Findings, NewBackTest, Rules
from subscriptions.model import NewSignup, PriceModel, Subscription
from subscriptions.sign_up import sign_up
from tests.makers import EUR, NOON, euros
from tests.promotions.offers import a_new_offer, fixed, percent
from tests.shop import a_shop, at
from tests.subscriptions.plans import (
    a_new_customer,
    a_plan,
    a_price,
    a_shop_with_a_plan,
    a_signup,
    renewed,
    signed_up,
)
from tests.subscriptions.population import a_population
from tests.subscriptions.test_billing_run import run

YEAR: dict[str, Any] = {"starts_at": NOON - timedelta(days=1), "ends_at": NOON + timedelta(days=400)}


async def tried(tx: Tx, **fields: Any) -> BackTest:
    """To its end, a chunk after the other."""
    back_test = await create_back_test(tx, NewBackTest(**{**YEAR, **fields}))
    while await advance(tx, back_test.id):
        pass
    return await store.get(tx, back_test.id)


async def found(tx: Tx, **fields: Any) -> Findings:
    back_test = await tried(tx, **fields)
    assert back_test.status is BackTestStatus.DONE, back_test.error
    assert back_test.done == back_test.total
    return back_test.findings


def a_draft(benefit: Any = None, **fields: Any) -> NewOffer:
    return a_new_offer(benefit or percent("10"), **{"reference": "DRAFT", "duration": Forever(), **fields})


async def a_year_of(tx: Tx, *references: str, plan: str = "pro", months: int = 3, **terms: Any) -> None:
    """Customers who sign up one after the other and are billed some months."""
    for n, reference in enumerate(references):
        signup = await sign_up(
            at(tx, NOON + timedelta(hours=n)),
            NewSignup(customer=a_new_customer(reference), plan=plan, **terms),
        )
        await months_of(tx, signup.subscription, months - 1)


async def months_of(tx: Tx, subscription: Subscription, months: int) -> None:
    for _ in range(months):
        renewal = await renewed(tx, subscription)
        subscription = renewal.subscription


async def test_the_rules_in_force_give_exactly_the_documents_that_exist(tx: Tx) -> None:
    await a_population(tx)
    for month in range(3):
        await run(at(tx, NOON + timedelta(days=31 * (month + 1), hours=1)))
    invoices = int(await tx.conn.fetchval("SELECT count(*) FROM subscription_invoices"))
    decided = int(
        await tx.conn.fetchval("SELECT count(*) FROM subscription_invoices WHERE decided IS NOT NULL")
    )

    findings = await found(tx, rules=Rules.IN_FORCE)

    assert findings.invoices == invoices
    assert 100 < findings.applied <= decided
    assert (findings.difference_count, findings.differences) == (0, ())
    [euro] = findings.currencies
    assert euro.given == euro.instead
    assert euro.given.minor == await tx.conn.fetchval("SELECT sum(discount_minor) FROM invoice_lines")


async def test_a_document_that_the_rules_do_not_give_is_found(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(percent("50")))
    await tx.conn.execute(
        """UPDATE offers SET conditions = conditions || '{"plans": ["other"]}' WHERE reference = 'WELCOME'"""
    )
    findings = await found(tx, rules=Rules.IN_FORCE)
    assert signup.invoice is not None
    [difference] = findings.differences
    assert (difference.invoice_id, difference.offer) == (signup.invoice.id, "WELCOME")
    assert (difference.billed, difference.replayed) == (euros(14_50), euros(0))


async def test_an_offer_that_is_not_there_yet_is_tried_for_its_duration(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await a_year_of(tx, "user-1", "user-2", months=4)

    findings = await found(tx, offer=a_draft(percent("10"), duration=Periods(count=3)))

    assert (findings.invoices, findings.applied, findings.redeemed) == (8, 6, 2)
    [euro] = findings.currencies
    assert (euro.billed, euro.given, euro.cost) == (euros(8 * 29_00), euros(0), euros(6 * 2_90))
    assert [winner.wins for winner in findings.winners] == [euros(3 * 2_90)] * 2
    assert findings.refusals == {"offer_used_up": 2}


async def test_it_is_tried_beside_what_was_in_reach(tx: Tx) -> None:
    """The customer had half off, in the same lane: 60 % would have beaten it, 10 % would not."""
    await signed_up(tx, offer=a_new_offer(percent("50")))

    better = await found(tx, offer=a_draft(percent("60")))
    worse = await found(tx, offer=a_draft(percent("10")))
    another_lane = await found(tx, offer=a_draft(percent("10"), lane=1))

    assert [each.cost for each in better.currencies] == [euros(2_90)]
    assert ([each.cost for each in worse.currencies], worse.refusals) == ([euros(0)], {"offer_beaten": 1})
    assert [each.cost for each in another_lane.currencies] == [euros(1_45)]


async def test_its_conditions_and_caps_hold(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await a_year_of(tx, "user-1", "user-2", "user-3", months=2)

    first = await found(tx, offer=a_draft(conditions=Conditions(first_invoice_only=True), duration=Once()))
    capped = await found(tx, offer=a_draft(max_redemptions=2))
    broke = await found(tx, offer=a_draft(budget=euros(5_00)))
    nobody = await found(tx, offer=a_draft(conditions=Conditions(plans=(Reference("other"),))))

    assert (first.redeemed, first.applied) == (3, 3)
    assert (capped.redeemed, capped.applied, capped.refusals) == (2, 4, {"offer_sold_out": 2})
    assert (broke.applied, broke.refusals["offer_budget_spent"]) == (1, 5)
    assert (nobody.redeemed, nobody.refusals) == (0, {"offer_other_plan": 6})


async def test_who_stays_just_below_a_threshold_is_told(tx: Tx) -> None:
    await a_shop(tx)
    await a_plan(tx, "large", a_price("95.00"))
    await a_plan(tx, "small", a_price("50.00"))
    await a_year_of(tx, "user-1", plan="large", months=1)
    await a_year_of(tx, "user-2", plan="small", months=1)

    findings = await found(tx, offer=a_draft(conditions=Conditions(min_amounts=(euros(100_00),))))

    assert findings.cliff_count == 1
    [cliff] = findings.cliffs
    customer = await parties.customer(tx, "user-1")
    assert (cliff.customer_id, cliff.condition) == (customer.id, "min_amounts")
    assert (cliff.was, cliff.wanted) == ("95.00 EUR", "100.00 EUR")


async def test_a_quantity_below_a_threshold_is_told_to_its_last_decimal(tx: Tx) -> None:
    await a_shop(tx)
    await a_plan(tx, "seats", a_price("0.10", model=PriceModel.PER_UNIT))
    await sign_up(tx, a_signup(plan="seats", quantity="999999.000001"))

    findings = await found(tx, offer=a_draft(conditions=Conditions(min_quantity=Quantity(1_000_000))))

    assert [(cliff.was, cliff.wanted) for cliff in findings.cliffs] == [("999999.000001", "1000000")]


async def test_only_the_customers_that_are_named_are_tried(tx: Tx) -> None:
    await a_shop_with_a_plan(tx)
    await a_year_of(tx, "user-1", "user-2", months=2)
    assert (await found(tx, offer=a_draft(), customers=("user-1",))).invoices == 2


async def test_killed_in_between_it_goes_on_where_it_was(tx: Tx, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chunk is one transaction: what was not committed is done again, and found once."""
    await a_shop_with_a_plan(tx)
    await a_year_of(tx, *(f"user-{n}" for n in range(5)), months=1)
    whole = await found(tx, offer=a_draft())
    monkeypatch.setattr(advancing, "CUSTOMERS", 2)

    back_test = await create_back_test(tx, NewBackTest(offer=a_draft(), **YEAR))
    states = []
    for _ in range(9):
        await tx.conn.execute("SAVEPOINT killed")
        await advance(tx, back_test.id)
        await tx.conn.execute("ROLLBACK TO SAVEPOINT killed")
        more = await advance(tx, back_test.id)
        states.append((await store.get(tx, back_test.id)).done)
        if not more:
            break

    assert states == [2, 4, 5, 5]
    assert (await store.get(tx, back_test.id)).findings == whole
    assert not await advance(tx, back_test.id), "again is boring"


async def test_a_chunk_is_of_so_many_invoices_and_of_a_customer_at_least(
    tx: Tx, monkeypatch: pytest.MonkeyPatch
) -> None:
    await a_shop_with_a_plan(tx)
    await a_year_of(tx, "user-1", "user-2", "user-3", months=2)
    whole = await found(tx, offer=a_draft())
    for most, dones in ((4, [4, 6, 6]), (1, [2, 4, 6, 6])):
        monkeypatch.setattr(advancing, "INVOICES", most)
        back_test = await create_back_test(tx, NewBackTest(offer=a_draft(), **YEAR))
        states, more = [], True
        while more:
            more = await advance(tx, back_test.id)
            states.append((await store.get(tx, back_test.id)).done)
        assert states == dones
        assert (await store.get(tx, back_test.id)).findings == whole


async def test_one_that_is_called_off_stops(tx: Tx) -> None:
    await signed_up(tx)
    back_test = await create_back_test(tx, NewBackTest(offer=a_draft(), **YEAR))
    cancelled = await cancel_back_test(tx, back_test.id)
    assert (cancelled.status, cancelled.ended_at) == (BackTestStatus.CANCELLED, tx.now)
    assert not await advance(tx, back_test.id)
    assert await cancel_back_test(tx, back_test.id) == cancelled

    done = await tried(tx, offer=a_draft())
    with pytest.raises(Conflict) as refused:
        await cancel_back_test(tx, done.id)
    assert refused.value.code == "back_test_over"


async def test_nothing_that_was_billed_changes(tx: Tx) -> None:
    await signed_up(tx, offer=a_new_offer(percent("50"), budget=euros(100_00)))
    tables = ("offers", "redemptions", "subscriptions", "invoices", "invoice_lines", "ledger_entries")
    before = [await tx.conn.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables]
    await found(tx, offer=a_draft())
    await found(tx, rules=Rules.IN_FORCE)
    assert [await tx.conn.fetch(f"SELECT * FROM {table} ORDER BY 1, 2") for table in tables] == before


async def test_a_programme_is_tried_period_by_period(tx: Tx) -> None:
    await a_shop(tx)
    await a_plan(tx, "pro", a_price("100.00"))
    await a_year_of(tx, "user-1", months=3)
    programme = NewRebateContract(
        reference=Reference("BONUS"),
        name=Name("Bonus"),
        currency=EUR,
        customers=["user-1"],
        period=RebatePeriod.YEAR,
        starts_on=NOON.date(),
        tiers=[
            RebateTier(rate=Rate.parse("10"), from_amount=euros(0)),
            RebateTier(rate=Rate.parse("20"), from_amount=euros(200_00)),
            RebateTier(rate=Rate.parse("30"), from_amount=euros(310_00)),
        ],
    )

    findings = await found(tx, programme=programme)

    [euro] = findings.currencies
    assert (euro.billed, euro.cost) == (euros(300_00), euros(40_00))
    assert [winner.wins for winner in findings.winners] == [euros(40_00)]
    assert [(cliff.condition, cliff.wanted) for cliff in findings.cliffs] == [("tier", "310.00 EUR")]
    assert await tx.conn.fetchval("SELECT count(*) FROM rebate_contracts") == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({}, "back_test_of_one"),
        ({"offer": a_draft(), "rules": Rules.IN_FORCE}, "back_test_of_one"),
        ({"offer": a_draft(), "ends_at": NOON - timedelta(days=2)}, "back_test_dates"),
        ({"offer": a_draft(), "starts_at": datetime(1, 1, 1, tzinfo=UTC)}, "back_test_dates"),
        ({"offer": a_draft(), "ends_at": datetime(9999, 12, 31, tzinfo=UTC)}, "back_test_dates"),
        ({"offer": a_draft(), "customers": ("never",)}, "customer_not_found"),
        ({"offer": a_draft(Percent(percent=Rate(0)))}, "benefit_nothing"),
    ],
)
async def test_what_cannot_be_tried_is_refused(tx: Tx, fields: dict[str, Any], code: str) -> None:
    await a_shop_with_a_plan(tx)
    with pytest.raises(DomainError) as refused:
        await create_back_test(tx, NewBackTest(**{**YEAR, **fields}))
    assert refused.value.code == code


async def test_an_invoice_says_what_came_off_it_and_what_did_not(tx: Tx) -> None:
    await a_shop_with_a_plan(tx, a_new_offer(percent("50")))
    await create_offer(tx, a_new_offer(fixed(1_00), reference="ONE"))
    await create_coupon(tx, "ONE", NewCoupon(code=Code("EINS")))
    signup = await sign_up(tx, replace(a_signup(offer="WELCOME"), coupons=("EINS",)))
    assert signup.invoice is not None

    discounts = await discounts_of(tx, signup.invoice.id)

    assert [(each.source, each.amount) for each in discounts.applied] == [("WELCOME", euros(14_50))]
    assert [(each.reference, each.code) for each in discounts.refused] == [("ONE", "offer_beaten")]
