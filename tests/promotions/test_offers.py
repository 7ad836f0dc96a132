"""The life of an offer: what may change, what was promised and stays, and who gets it."""

from datetime import timedelta
from itertools import product

import pytest

from kernel import outbox
from kernel.database import Tx, leave_behind
from kernel.decimals import Rate
from kernel.errors import Conflict, DomainError, Invalid
from kernel.money import Currency, Money
from kernel.paging import Window
from kernel.text import Name, Reference
from promotions import rules, store
from promotions.change_offer import change_offer
from promotions.create_offer import create_offer
from promotions.model import (
    OFFER_NEXT,
    Conditions,
    NewOffer,
    Offer,
    OfferChange,
    OfferStatus,
    Once,
    Percent,
    Periods,
)
from promotions.pause_offer import archive_offer, pause_offer, resume_offer
from tests.makers import NOON, euros
from tests.promotions.offers import a_new_offer, an_offer, fixed

USD = Currency("USD")
DAY = timedelta(days=1)
PRO = (Reference("pro"),)
SPENT = an_offer(budget=euros(100_00), spent=euros(40_00))
USED = an_offer(max_redemptions=10, redeemed=4)


async def told(tx: Tx) -> list[str]:
    await leave_behind(tx)
    return [event.type for event in reversed((await outbox.page(tx, Window())).data)]


# ── What changes ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("offer", "change"),
    [
        (an_offer(), OfferChange(name=Name("Another name"))),
        (an_offer(), OfferChange(metadata={"campaign": "spring"})),
        (an_offer(), OfferChange(max_per_customer=3)),
        (an_offer(), OfferChange(remind_days_before=7)),
        (an_offer(), OfferChange(conditions=Conditions(starts_at=NOON))),
        (USED, OfferChange(conditions=Conditions(ends_at=NOON))),
        (USED, OfferChange(max_redemptions=11)),
        (USED, OfferChange(max_redemptions=4)),
        (USED, OfferChange(max_redemptions=None)),
        (SPENT, OfferChange(budget=euros(40_00))),
        (SPENT, OfferChange(budget=euros(500_00))),
    ],
)
def test_what_changes_no_promise_changes(offer: Offer, change: OfferChange) -> None:
    after = rules.changed(offer, change)

    assert after != offer
    assert rules.changed(after, change) == after


@pytest.mark.parametrize(
    ("offer", "change", "param"),
    [
        (an_offer(), OfferChange(benefit=Percent(percent=Rate.parse("21"))), "benefit"),
        (an_offer(), OfferChange(duration=Periods(count=2)), "duration"),
        (an_offer(), OfferChange(lane=1), "lane"),
        (an_offer(), OfferChange(conditions=Conditions(plans=PRO)), "conditions"),
        (an_offer(conditions=Conditions(plans=PRO)), OfferChange(conditions=Conditions()), "conditions"),
        (an_offer(redeemed=1), OfferChange(conditions=Conditions(starts_at=NOON)), "conditions.starts_at"),
        (USED, OfferChange(max_redemptions=3), "max_redemptions"),
        (an_offer(), OfferChange(max_redemptions=3), "max_redemptions"),
        (an_offer(), OfferChange(budget=euros(1)), "budget"),
        (SPENT, OfferChange(budget=euros(39_99)), "budget"),
        (SPENT, OfferChange(budget=Money(100_00, USD)), "budget"),
    ],
)
def test_what_was_promised_is_fixed(offer: Offer, change: OfferChange, param: str) -> None:
    with pytest.raises(Conflict) as refused:
        rules.changed(offer, change)
    assert (refused.value.code, refused.value.param) == ("offer_fixed", param)


def test_terms_that_are_sent_as_they_are_change_nothing() -> None:
    offer = an_offer(conditions=Conditions(plans=PRO))
    same = OfferChange(benefit=offer.benefit, duration=Once(), lane=0, conditions=offer.conditions)

    assert rules.changed(offer, same) == offer


def test_without_its_budget_an_offer_has_spent_nothing_of_it() -> None:
    after = rules.changed(SPENT, OfferChange(budget=None))
    assert (after.budget, after.spent) == (None, None)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        (a_new_offer(budget=euros(0)), "budget_nothing"),
        (a_new_offer(fixed(1_00), budget=Money(100_00, USD)), "budget_currency"),
    ],
)
def test_a_budget_holds_something_that_the_offer_can_take_off(request_: NewOffer, code: str) -> None:
    with pytest.raises(Invalid) as refused:
        rules.check(request_, now=NOON)
    assert refused.value.code == code


async def test_a_change_is_kept_and_told(tx: Tx) -> None:
    made = await create_offer(tx, a_new_offer(max_redemptions=5, budget=euros(100_00)))
    change = OfferChange(
        name=Name("Adieu"),
        metadata={"campaign": "spring"},
        conditions=Conditions(starts_at=NOON, ends_at=NOON + DAY),
        max_redemptions=None,
        max_per_customer=2,
        budget=euros(200_00),
    )
    changed = await change_offer(tx, "WELCOME", change)

    assert changed == rules.changed(made, change)
    assert await store.offer(tx, made.id) == changed
    assert (await store.page(tx, Window())).data == [changed]
    assert await told(tx) == ["offer.created", "offer.changed"]


# ── Whether it is given ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("before", "after"), list(product(OfferStatus, OfferStatus)))
def test_every_pair_of_states_of_an_offer_is_allowed_or_refused(
    before: OfferStatus, after: OfferStatus
) -> None:
    offer = an_offer(status=before)
    if after is before or after in OFFER_NEXT[before]:
        assert offer.to(after).status is after
        return
    with pytest.raises(Conflict) as refused:
        offer.to(after)
    assert refused.value.code == "offer_state"


async def test_the_database_knows_the_same_states_of_an_offer(tx: Tx) -> None:
    definition = await tx.conn.fetchval(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conname = 'offers_status'"
    )
    assert definition.count("'") == 2 * len(OfferStatus)
    assert all(f"'{status}'" in definition for status in OfferStatus)


async def test_an_offer_is_paused_resumed_and_archived_and_says_so_once(tx: Tx) -> None:
    await create_offer(tx, a_new_offer())
    for act, status in (
        (pause_offer, OfferStatus.PAUSED),
        (pause_offer, OfferStatus.PAUSED),
        (resume_offer, OfferStatus.ACTIVE),
        (archive_offer, OfferStatus.ARCHIVED),
        (archive_offer, OfferStatus.ARCHIVED),
    ):
        assert (await act(tx, "WELCOME")).status is status
        assert (await store.offer(tx, "WELCOME")).status is status

    assert await told(tx) == ["offer.created", "offer.paused", "offer.resumed", "offer.archived"]


async def test_an_archived_offer_stays_as_it_is(tx: Tx) -> None:
    await create_offer(tx, a_new_offer())
    await archive_offer(tx, "WELCOME")
    with pytest.raises(DomainError) as refused:
        await resume_offer(tx, "WELCOME")
    assert refused.value.code == "offer_state"
    with pytest.raises(DomainError) as refused:
        await change_offer(tx, "WELCOME", OfferChange(name=Name("Encore")))
    assert refused.value.code == "offer_state"
