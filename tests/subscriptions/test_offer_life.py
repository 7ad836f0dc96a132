"""What becomes of a redemption around the billing. Each consequence may run twice.

Pro is 29.00 a month, half of it with the offer; the first period begins on 15 January at noon.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from msgspec.structs import replace

from billing.credit_notes.model import Reason
from billing.invoices.model import Invoice
from billing.parties.change_customer import change_customer
from billing.parties.model import CustomerChange
from kernel.database import Pool, Tx, transaction
from kernel.events import type_of
from kernel.ids import TenantId
from kernel.structs import Row
from promotions import store as promotions
from promotions.create_offer import create_offer
from promotions.duration import remind_at
from promotions.engine import Held
from promotions.identity import Digest
from promotions.model import (
    Benefit,
    Conditions,
    Days,
    Duration,
    Forever,
    NewOffer,
    NewReservation,
    Once,
    Periods,
    Redemption,
    RedemptionId,
    Status,
)
from promotions.release import release, revoke
from promotions.reserve import reserve
from refunds.cancel_subscription import cancel_subscription
from refunds.model import NewCancellation
from subscriptions.add_charge import add_charge
from subscriptions.billing_run import bill_chunk
from subscriptions.convert_offers import convert_offers
from subscriptions.grant_offer import grant_offer
from subscriptions.model import ChargeWhen, NewGrant, Signup
from subscriptions.offer_figures import offer_figures, rate
from subscriptions.release_offers import release_offers
from subscriptions.remind import remind
from subscriptions.sign_up import sign_up
from tests.makers import NOON, euros
from tests.promotions.offers import a_new_offer, days, percent, redemptions_of
from tests.shop import a_credit, a_payment, at, while_open
from tests.subscriptions.plans import a_charge, a_shop_with_a_plan, a_signup, renewed, signed_up

ONCE = Once()
FEBRUARY = NOON + timedelta(days=31)
HALF = a_new_offer(percent("50"), duration=Periods(count=3), conditions=Conditions(new_customers_only=True))


async def redemption_of(tx: Tx, signup: Signup) -> Redemption:
    (redemption,) = await redemptions_of(tx, signup.customer.id)
    return redemption


def told(tx: Tx, *events: str) -> dict[str, int]:
    counted = Counter(type_of(type(event)) for event in tx.events)
    return {event: counted[event] for event in events}


def invoice_of(signup: Signup) -> Invoice:
    assert signup.invoice is not None
    return signup.invoice


# ── Converted ────────────────────────────────────────────────────────────────────────────────────


async def test_the_first_payment_converts_once(tx: Tx) -> None:
    signup = await signed_up(tx, offer=HALF)
    invoice = invoice_of(signup)
    await convert_offers(tx, invoice.id)
    assert (await redemption_of(tx, signup)).converted_at is None  # it is not paid yet

    await a_payment(at(tx, NOON + timedelta(days=2)), invoice)
    for _ in range(2):
        await convert_offers(tx, invoice.id)

    assert (await redemption_of(tx, signup)).converted_at == NOON + timedelta(days=2)
    assert told(tx, "redemption.converted") == {"redemption.converted": 1}


async def test_an_invoice_that_is_settled_by_its_credit_note_converts_nobody(tx: Tx) -> None:
    signup = await signed_up(tx, offer=HALF)
    await a_credit(tx, invoice_of(signup))
    await convert_offers(tx, invoice_of(signup).id)

    assert (await redemption_of(tx, signup)).converted_at is None


async def test_what_is_paid_during_free_days_converts_nobody(tx: Tx) -> None:
    signup = await signed_up(tx, offer=a_new_offer(days(30)))
    charged = await add_charge(tx, signup.subscription.id, a_charge(when=ChargeWhen.NOW))
    assert charged.invoice is not None
    await a_payment(tx, charged.invoice)
    await convert_offers(tx, charged.invoice.id)
    assert (await redemption_of(tx, signup)).converted_at is None

    renewal = await renewed(tx, signup.subscription)
    assert renewal.invoice is not None
    await a_payment(tx, renewal.invoice)
    await convert_offers(tx, renewal.invoice.id)
    assert (await redemption_of(tx, signup)).converted_at is not None


# ── Released ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_slot_is_given_back_once(tx: Tx) -> None:
    offer = await _capped(tx)
    first, second = [await sign_up(tx, a_signup(customer=f"user-{n}", offer="WELCOME")) for n in range(2)]
    note = await a_credit(tx, invoice_of(first))
    for _ in range(2):
        await release_offers(tx, note.id)
    await release(tx, [(await redemption_of(tx, first)).id])

    assert (await redemption_of(tx, first)).status is Status.RELEASED
    assert (await redemption_of(tx, second)).status is Status.REDEEMED
    after = await promotions.offer(tx, "WELCOME")
    assert (after.redeemed, after.spent) == (1, euros(14_50))
    assert after.max_redemptions == offer.max_redemptions
    assert told(tx, "redemption.released") == {"redemption.released": 1}


async def _capped(tx: Tx) -> NewOffer:
    offer = a_new_offer(percent("50"), duration=Forever(), max_redemptions=2, budget=euros(100_00))
    await a_shop_with_a_plan(tx, offer)
    return offer


async def test_a_later_invoice_that_stands_keeps_the_slot(tx: Tx) -> None:
    signup = await signed_up(tx, offer=HALF)
    later = await renewed(tx, signup.subscription)
    note = await a_credit(tx, invoice_of(signup))
    await release_offers(tx, note.id)
    assert (await redemption_of(tx, signup)).status is Status.REDEEMED

    assert later.invoice is not None
    note = await a_credit(tx, later.invoice)
    await release_offers(tx, note.id)
    assert (await redemption_of(tx, signup)).status is Status.RELEASED


@pytest.mark.parametrize("last", [Reason.FRAUD, Reason.CANCELLATION])
async def test_fraud_in_any_part_keeps_the_slot_and_ends_the_offer(tx: Tx, last: Reason) -> None:
    signup = await signed_up(tx, offer=HALF)
    later = await renewed(tx, signup.subscription)
    await a_credit(tx, invoice_of(signup), reason=Reason.FRAUD)
    assert later.invoice is not None
    note = await a_credit(tx, later.invoice, reason=last)
    for _ in range(2):
        await release_offers(tx, note.id)

    assert (await redemption_of(tx, signup)).status is Status.REVOKED
    assert told(tx, "redemption.revoked", "redemption.released") == {
        "redemption.revoked": 1,
        "redemption.released": 0,
    }
    third = await renewed(tx, later.subscription)
    assert third.invoice is not None
    assert third.invoice.net == euros(29_00)


async def test_who_was_released_may_come_again(tx: Tx) -> None:
    signup = await signed_up(tx, offer=HALF)
    note = await a_credit(tx, invoice_of(signup))
    await release_offers(tx, note.id)

    again = await grant_offer(tx, signup.subscription.id, NewGrant(offer="WELCOME"))
    assert again.is_new


async def test_who_comes_while_an_identity_is_given_back_waits_and_gets_the_offer(
    pool: Pool, tenant: TenantId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        first = await signed_up(tx, offer=a_new_offer(percent("50"), one_per_identity=True))
        later = await sign_up(tx, a_signup(customer="user-78"))
        same_mailbox = CustomerChange(email=first.customer.email)
        await change_customer(tx, later.customer.reference, same_mailbox)
        note = await a_credit(tx, invoice_of(first))

    granted = await while_open(
        pool,
        tenant,
        lambda tx: release_offers(tx, note.id),
        lambda tx: grant_offer(tx, later.subscription.id, NewGrant(offer="WELCOME")),
    )

    assert granted.is_new


async def test_an_identity_is_free_when_its_customer_holds_the_offer_no_more(tx: Tx) -> None:
    offer = a_new_offer(percent("50"), max_per_customer=2, one_per_identity=True)
    signup = await signed_up(tx, offer=offer)
    held = (await promotions.held(tx, signup.subscription.redemption_ids)).popitem()[1]
    again = Held(offer=held.offer, redemption=_another(held.redemption))
    mine = [Digest(kind=each["kind"], digest=each["digest"]) for each in await _identities(tx)]
    assert (await promotions.insert_redemption(tx, again, mine)).is_theirs

    await release(tx, [held.redemption.id])
    assert len(await _identities(tx)) == len(mine) > 0
    await release(tx, [again.redemption.id])
    assert await _identities(tx) == []


async def test_an_identity_that_was_revoked_is_not_freed_by_what_is_released_later(tx: Tx) -> None:
    offer = a_new_offer(percent("50"), max_per_customer=2, one_per_identity=True)
    signup = await signed_up(tx, offer=offer)
    held = (await promotions.held(tx, signup.subscription.redemption_ids)).popitem()[1]
    again = Held(offer=held.offer, redemption=_another(held.redemption))
    assert (await promotions.insert_redemption(tx, again)).has_place

    await revoke(tx, [held.redemption.id])
    await release(tx, [again.redemption.id])

    assert await _identities(tx)


# ── Reminded ─────────────────────────────────────────────────────────────────────────────────────


async def test_somebody_is_reminded_once(tx: Tx) -> None:
    signup = await signed_up(tx, offer=_reminding(days(30)))
    redemption = await redemption_of(tx, signup)
    for _ in range(2):
        await remind(at(tx, NOON + timedelta(days=27)), redemption.id)

    assert told(tx, "offer.ends_soon") == {"offer.ends_soon": 1}


async def test_after_the_end_it_is_too_late_to_remind(tx: Tx) -> None:
    signup = await signed_up(tx, offer=_reminding(days(30)))
    await remind(at(tx, NOON + timedelta(days=30)), (await redemption_of(tx, signup)).id)

    assert told(tx, "offer.ends_soon") == {"offer.ends_soon": 0}


async def test_who_is_cancelled_meanwhile_is_not_reminded(tx: Tx) -> None:
    signup = await signed_up(tx, offer=_reminding(days(30)))
    await cancel_subscription(tx, signup.subscription.id, NewCancellation())
    await remind(at(tx, NOON + timedelta(days=27)), (await redemption_of(tx, signup)).id)

    assert told(tx, "offer.ends_soon") == {"offer.ends_soon": 0}


async def test_who_it_was_taken_back_from_is_not_reminded(tx: Tx) -> None:
    signup = await signed_up(tx, offer=_reminding(percent("50"), duration=Days(count=40)))
    redemption = await redemption_of(tx, signup)
    await release(tx, [redemption.id])
    await remind(at(tx, NOON + timedelta(days=27)), redemption.id)

    assert told(tx, "offer.ends_soon") == {"offer.ends_soon": 0}


async def test_a_run_schedules_the_reminders_of_a_chunk_together(tx: Tx) -> None:
    """The second period is the last: each is reminded three days before its end, on 12 March."""
    await a_shop_with_a_plan(tx, _reminding(percent("50"), duration=Periods(count=2)))
    for n in range(3):
        await sign_up(tx, a_signup(customer=f"user-{n}", offer="WELCOME"))
    assert await _reminders(tx) == []

    await bill_chunk(at(tx, FEBRUARY))

    assert await _reminders(tx) == [FEBRUARY + timedelta(days=28 - 3)] * 3
    assert told(tx, "redemption.ended") == {"redemption.ended": 3}


async def test_an_end_that_was_known_from_the_start_is_not_scheduled_again(tx: Tx) -> None:
    signup = await signed_up(tx, offer=_reminding(percent("50"), Days(count=40)))
    await renewed(tx, signup.subscription)

    assert (await redemption_of(tx, signup)).status is Status.EXHAUSTED
    assert await _reminders(tx) == [NOON + timedelta(days=37)]


@pytest.mark.parametrize(
    ("offer", "due"),
    [
        (a_new_offer(days(30), remind_days_before=3), 27),
        (a_new_offer(percent("50"), duration=Once(), remind_days_before=3), 28),
        (a_new_offer(percent("50"), duration=Days(count=40), remind_days_before=3), 37),
        (a_new_offer(days(30), remind_days_before=60), 0),
        (a_new_offer(percent("50"), duration=Periods(count=2), remind_days_before=3), None),
        (a_new_offer(days(30)), None),
    ],
)
async def test_a_reminder_is_scheduled_as_soon_as_the_end_is_known(
    tx: Tx, offer: NewOffer, due: int | None
) -> None:
    signup = await signed_up(tx, offer=offer)
    (held,) = (await promotions.held(tx, signup.subscription.redemption_ids)).values()

    expected = None if due is None else NOON + timedelta(days=due)
    assert remind_at(held, now=NOON) == expected
    assert await _reminders(tx) == ([] if expected is None else [expected])


# ── Figures ──────────────────────────────────────────────────────────────────────────────────────


async def test_what_was_credited_is_no_revenue(tx: Tx) -> None:
    signup = await signed_up(tx, offer=HALF)
    await renewed(tx, signup.subscription)
    invoice = invoice_of(signup)
    await a_credit(tx, invoice, reason=Reason.COMMERCIAL_GESTURE)

    figures = await offer_figures(tx, "WELCOME")
    assert (figures.given, figures.revenue) == ((euros(29_00),), (euros(14_50),))


async def test_who_had_it_reserved_and_did_not_take_it_has_not_started(tx: Tx) -> None:
    signup = await signed_up(tx)
    await create_offer(tx, a_new_offer())
    wanted = NewReservation(customer=str(signup.customer.id), offer="WELCOME")
    await release(tx, [(await reserve(tx, wanted)).id])
    await reserve(tx, wanted)

    figures = await offer_figures(tx, "WELCOME")
    assert (figures.offered, figures.started, figures.released, figures.running) == (2, 0, 1, 0)


async def test_an_offer_nobody_has_has_no_rate(tx: Tx) -> None:
    await create_offer(tx, HALF)

    figures = await offer_figures(tx, "WELCOME")
    assert (figures.offered, figures.given, figures.revenue, figures.conversion_rate) == (0, (), (), None)


def test_a_rate_is_a_percentage_rounded_half_up() -> None:
    assert [str(rate(part, 3)) for part in (0, 1, 2, 3)] == ["0", "33.3333", "66.6667", "100"]


# ── helpers ──────────────────────────────────────────────────────────────────────────────────────


def _reminding(benefit: Benefit, duration: Duration = ONCE) -> NewOffer:
    return a_new_offer(benefit, duration=duration, remind_days_before=3)


def _another(redemption: Redemption) -> Redemption:
    return replace(redemption, id=RedemptionId.new())


async def _identities(tx: Tx) -> Sequence[Row]:
    return await tx.conn.fetch("SELECT kind, digest FROM redemption_identities ORDER BY kind")


async def _reminders(tx: Tx) -> list[datetime]:
    rows = await tx.conn.fetch("SELECT scheduled_for FROM jobs WHERE kind = 'remind_of_offer'")
    return [row["scheduled_for"] for row in rows]
