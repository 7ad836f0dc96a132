"""Coupons: who can use which, what is told about it, and a hundred thousand of them at once."""

from collections.abc import Sequence
from datetime import timedelta

import pytest

from billing.parties.model import Customer
from kernel import outbox
from kernel.database import Tx, leave_behind
from kernel.errors import Conflict, DomainError
from kernel.paging import Window
from promotions.asked import check_asked, offers_asked
from promotions.coupons import codes, rules, store
from promotions.coupons.codes import Code, Prefix
from promotions.coupons.create_batch import create_batch
from promotions.coupons.create_coupon import create_coupon
from promotions.coupons.model import Coupon, CouponStatus, NewCoupon, NewCouponBatch
from promotions.coupons.revoke_coupon import revoke_batch, revoke_coupon
from promotions.create_offer import create_offer
from promotions.model import Offer
from promotions.pause_offer import archive_offer
from promotions.redeem import Asked
from tests.makers import NOON
from tests.promotions.offers import a_new_offer
from tests.shop import a_shop, another_customer, at

DAY = timedelta(days=1)


@pytest.fixture
async def customer(tx: Tx) -> Customer:
    return await a_shop(tx)


@pytest.fixture
async def offer(tx: Tx, customer: Customer) -> Offer:
    return await create_offer(tx, a_new_offer())


async def a_coupon(tx: Tx, code: str = "SUMMER26", **fields: object) -> Coupon:
    return await create_coupon(tx, "WELCOME", NewCoupon(code=Code(code), **fields))  # type: ignore[arg-type]


async def codes_of(tx: Tx) -> list[str]:
    return [coupon.code for coupon in (await everything(tx))]


async def everything(tx: Tx, limit: int = 100) -> Sequence[Coupon]:
    page = await store.page(
        tx, Window(limit=limit), offer_id=None, customer_id=None, batch_id=None, code=None
    )
    return page.data


async def told(tx: Tx) -> list[str]:
    await leave_behind(tx)
    events = reversed((await outbox.page(tx, Window())).data)
    return [event.type for event in events if event.type.startswith("coupon")]


async def test_a_code_reaches_its_offer_as_that_is(tx: Tx, customer: Customer) -> None:
    """All of it: who is refused under another name by reference is so by code, and is reminded of its end."""
    offer = await create_offer(
        tx, a_new_offer(reference="WHOLE", one_per_identity=True, remind_days_before=3, max_redemptions=5)
    )
    await create_coupon(tx, "WHOLE", NewCoupon(code=Code("SUMMER26")))

    assert (await store.reached(tx, ["SUMMER26"]))["SUMMER26"].offer == offer


# ── Making them ─────────────────────────────────────────────────────────────────────────────────────────


async def test_a_coupon_is_read_back_by_its_id_and_by_its_code(tx: Tx, offer: Offer) -> None:
    coupon = await a_coupon(tx, "Summer-26", max_redemptions=5, expires_at=NOON + DAY, metadata={"a": "b"})

    assert (coupon.offer_id, coupon.code) == (offer.id, "Summer-26")
    for key in (str(coupon.id), "Summer-26", "summer 26"):
        assert await store.coupon(tx, key) == coupon


async def test_a_code_is_given_once_however_it_is_written(tx: Tx, offer: Offer) -> None:
    await a_coupon(tx, "SUMMER26")
    with pytest.raises(Conflict) as refused:
        await a_coupon(tx, "summer-26")
    assert refused.value.code == "code_taken"


async def test_a_code_is_made_up_where_none_is_given(tx: Tx, offer: Offer) -> None:
    coupon = await create_coupon(tx, "WELCOME", NewCoupon(prefix=Prefix("VIP")))
    assert coupon.code.startswith("VIP-")
    with pytest.raises(DomainError) as refused:
        await create_coupon(tx, "WELCOME", NewCoupon(code=Code("ABC"), prefix=Prefix("VIP")))
    assert refused.value.code == "code_with_prefix"


async def test_an_archived_offer_gets_no_more_codes(tx: Tx, offer: Offer) -> None:
    await archive_offer(tx, "WELCOME")
    for attempt in (a_coupon(tx), create_batch(tx, "WELCOME", NewCouponBatch(count=1))):
        with pytest.raises(Conflict) as refused:
            await attempt
        assert refused.value.code == "offer_state"


async def test_a_batch_has_as_many_codes_as_were_asked_for(tx: Tx, offer: Offer) -> None:
    request = NewCouponBatch(count=250, prefix=Prefix("SPRING"), expires_at=NOON + DAY)
    batch = await create_batch(tx, "WELCOME", request)

    chunks = [chunk async for chunk in store.of_batch(tx, batch.id)]
    made = [coupon for chunk in chunks for coupon in chunk]
    assert len({coupon.code for coupon in made}) == len(made) == 250
    assert {(c.max_redemptions, c.expires_at, c.coupon_batch_id) for c in made} == {(1, NOON + DAY, batch.id)}
    assert await store.batch(tx, batch.id) == batch
    assert await told(tx) == ["coupon_batch.created"]


async def test_a_code_that_is_taken_is_made_up_again(
    tx: Tx, offer: Offer, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter([["AAA", "BBB", "BBB", "CCC"], ["CCC", "DDD"], ["EEE"]])
    asked: list[int] = []

    def few(count: int, _prefix: object) -> list[Code]:
        asked.append(count)
        return [Code(code) for code in next(drawn)]

    await a_coupon(tx, "AAA")
    monkeypatch.setattr(codes, "made_up", few)
    await create_batch(tx, "WELCOME", NewCouponBatch(count=4))

    assert sorted(await codes_of(tx)) == ["AAA", "BBB", "CCC", "DDD", "EEE"]
    assert asked == [4, 2, 1]


async def test_coupons_are_listed_by_what_is_asked(tx: Tx, offer: Offer, customer: Customer) -> None:
    await create_offer(tx, a_new_offer(reference="OTHER"))
    mine = await a_coupon(tx, "MINE", customer="user-42")
    other = await create_coupon(tx, "OTHER", NewCoupon(code=Code("OTHER")))
    batch = await create_batch(tx, "WELCOME", NewCouponBatch(count=2))

    async def listed(**asked: object) -> list[str]:
        none = dict.fromkeys(("offer_id", "customer_id", "batch_id", "code"))
        page = await store.page(tx, Window(), **{**none, **asked})  # type: ignore[arg-type]
        return [coupon.code for coupon in page.data]

    assert await listed(customer_id=customer.id) == [mine.code]
    assert await listed(code="oth-er") == [other.code]
    assert await listed(offer_id=other.offer_id) == [other.code]
    assert len(await listed(batch_id=batch.id)) == 2
    assert len(await listed()) == 4


# ── Using them ──────────────────────────────────────────────────────────────────────────────────────────


async def reach(tx: Tx, codes: Sequence[str], customer: Customer) -> list[Asked]:
    wanted = await offers_asked(tx, None, codes, customer)
    check_asked(tx, wanted, customer)
    return list(wanted.asked)


async def test_a_code_puts_its_offer_within_reach(tx: Tx, offer: Offer, customer: Customer) -> None:
    coupon = await a_coupon(tx)

    (reached,) = await reach(tx, ["summer-26", "SUMMER26"], customer)

    assert (reached.coupon, reached.offer) == (coupon, offer)
    assert await reach(tx, [], customer) == []


async def test_whatever_stands_against_a_code_the_answer_is_one(tx: Tx, customer: Customer) -> None:
    await create_offer(tx, a_new_offer())
    other = await another_customer(tx)
    await a_coupon(tx, "GOOD")
    await a_coupon(tx, "EXPIRED", expires_at=NOON)
    await a_coupon(tx, "REVOKED")
    await revoke_coupon(tx, "REVOKED")
    await a_coupon(tx, "USED", max_redemptions=1)
    await tx.conn.execute("UPDATE coupons SET redeemed = 1 WHERE code = 'USED'")
    await a_coupon(tx, "OTHERS", customer=str(other.id))

    sentences = set()
    for code in ("EXPIRED", "REVOKED", "USED", "OTHERS", "UNKNOWN", "", "\u2028", "x" * 10_000):
        with pytest.raises(Conflict) as refused:
            await reach(tx, ["GOOD", code], customer)
        sentences.add((refused.value.code, refused.value.detail, refused.value.param))
    assert sentences == {("coupon_invalid", "This code cannot be used.", "coupons")}
    assert [each.coupon and each.coupon.code for each in await reach(tx, ["others"], other)] == ["OTHERS"]


async def test_who_runs_the_shop_reads_the_reason(tx: Tx, offer: Offer) -> None:
    async def reason(code: str) -> str | None:  # at the time of the transaction
        found = rules.unusable(await store.coupon(tx, code), now=tx.now)
        return found.code if found else None

    await a_coupon(tx, "GOOD", expires_at=NOON + DAY)
    await a_coupon(tx, "REVOKED", expires_at=NOON + DAY)
    await revoke_coupon(tx, "REVOKED")
    await a_coupon(tx, "USED", max_redemptions=1)
    await tx.conn.execute("UPDATE coupons SET redeemed = 1 WHERE code = 'USED'")

    assert [await reason(code) for code in ("GOOD", "REVOKED", "USED")] == [
        None,
        "coupon_revoked",
        "coupon_used_up",
    ]
    tx = at(tx, NOON + DAY)
    assert [await reason(code) for code in ("GOOD", "REVOKED")] == ["coupon_expired", "coupon_revoked"]


async def test_a_code_is_revoked_once(tx: Tx, offer: Offer) -> None:
    await a_coupon(tx)
    for _ in range(2):
        assert (await revoke_coupon(tx, "SUMMER26")).status is CouponStatus.REVOKED
    assert (await store.coupon(tx, "SUMMER26")).status is CouponStatus.REVOKED
    assert await told(tx) == ["coupon.created", "coupon.revoked"]


async def test_a_batch_is_revoked_whole(tx: Tx, offer: Offer) -> None:
    await a_coupon(tx, "ANOTHER")
    batch = await create_batch(tx, "WELCOME", NewCouponBatch(count=3))
    for _ in range(2):
        await revoke_batch(tx, batch.id)

    status = {coupon.code: coupon.status for coupon in await everything(tx)}
    assert status.pop("ANOTHER") is CouponStatus.ACTIVE
    assert set(status.values()) == {CouponStatus.REVOKED}
    assert (await told(tx)).count("coupon_batch.revoked") == 1
