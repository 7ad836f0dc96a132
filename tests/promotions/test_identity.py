"""The identity guard: who has had an offer does not get it again under another name."""

import asyncio

import pytest

from billing.gateways.checkouts.save_method import save_method
from billing.gateways.model import MethodSaved
from billing.parties.change_customer import change_customer
from billing.parties.model import Customer, CustomerChange
from kernel.database import Pool, Tx, transaction
from kernel.errors import Conflict
from kernel.ids import TenantId
from kernel.money import Currency
from kernel.text import Email, Name, Reference
from promotions import store
from promotions.create_offer import create_offer
from promotions.duration import Serving
from promotions.engine import Basket
from promotions.identity import digests_of, mailbox_of, vat_number_of
from promotions.model import Conditions, Offer
from promotions.redeem import Asked, grant, redeem
from tests.makers import NOON, a_customer
from tests.promotions.offers import a_new_offer, redemptions_of
from tests.shop import a_shop, another_customer, while_open

WELCOME = Conditions(new_customers_only=True)
BASKET = Basket(plan=Reference("pro"), currency=Currency("EUR"), is_new_customer=True, lines=())


async def take(tx: Tx, offer: Offer, customer: Customer) -> None:
    serving = Serving(applies_from=NOON, ends_at=None)
    await redeem(tx, [grant(Asked(offer=offer), customer.id, BASKET, serving, now=NOON)], customer)


async def refused(tx: Tx, offer: Offer, customer: Customer) -> str:
    with pytest.raises(Conflict) as refusal:
        await take(tx, offer, customer)
    return refusal.value.code


# ── What is the same ─────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    "address",
    ["jo.hartley@gmail.com", "JoHartley@Gmail.com", "johartley+2@gmail.com", "j.o.hartley@googlemail.com"],
)
def test_addresses_of_one_mailbox_are_the_same(address: str) -> None:
    assert mailbox_of(address) == "johartley@gmail.com"


@pytest.mark.parametrize(
    ("address", "mailbox"),
    [
        ("jo.hartley@hartley.example", "jo.hartley@hartley.example"),  # dots count elsewhere
        ("jo_hartley@gmail.com", "jo_hartley@gmail.com"),
        ("jo-2@hartley.example", "jo-2@hartley.example"),
        ("+jo@hartley.example", "+jo@hartley.example"),  # a tag of nobody is a name
        ("jo@mail.hartley.example", "jo@mail.hartley.example"),
        ("jo@gmail.com.example", "jo@gmail.com.example"),
    ],
)
def test_addresses_that_may_be_of_others_are_not(address: str, mailbox: str) -> None:
    assert mailbox_of(address) == mailbox


def test_a_vat_number_is_the_same_however_it_is_written() -> None:
    assert vat_number_of("fr 83 404.833-048") == vat_number_of("FR83404833048") == "FR83404833048"
    assert vat_number_of("GR094014201") == vat_number_of("EL 094014201")


def test_what_is_kept_tells_nothing_without_the_key_and_of_other_tenants() -> None:
    jo, tenant = a_customer(email=Email("jo@hartley.example"), vat_number="FR83404833048"), TenantId.new()
    ours = digests_of(jo, tenant=tenant, secret=b"ours")

    assert [(each.kind, len(each.digest)) for each in ours] == [("email", 32), ("vat_number", 32)]
    assert ours == digests_of(jo, tenant=tenant, secret=b"ours")
    assert not set(ours) & set(digests_of(jo, tenant=tenant, secret=b"theirs"))
    assert not set(ours) & set(digests_of(jo, tenant=TenantId.new(), secret=b"ours"))


# ── Who is refused ───────────────────────────────────────────────────────────────────────────────


async def test_another_customer_of_the_same_mailbox_is_refused(tx: Tx) -> None:
    await a_shop(tx)
    offer = await create_offer(tx, a_new_offer(conditions=WELCOME))
    await take(tx, offer, await another_customer(tx, email="jo.hartley@gmail.com"))

    again = await another_customer(tx, "user-44", email="johartley+again@gmail.com")
    assert await refused(tx, offer, again) == "offer_identity_used"


async def test_another_customer_of_the_same_company_is_refused(tx: Tx) -> None:
    first = await a_shop(tx)
    offer = await create_offer(tx, a_new_offer(conditions=WELCOME))
    await take(tx, offer, first)

    assert first.vat_number is not None
    again = await another_customer(tx, email="other@example.com", vat_number="FR 83 404 833 048")
    assert await refused(tx, offer, again) == "offer_identity_used"


async def test_another_customer_with_the_same_card_is_refused(tx: Tx) -> None:
    await a_shop(tx)
    offer = await create_offer(tx, a_new_offer(conditions=WELCOME))
    first = await another_customer(tx, email="first@example.com")
    again = await another_customer(tx, "user-44", email="second@example.com")
    other = await another_customer(tx, "user-45", email="third@example.com")
    await take(tx, offer, await left(tx, first, "pm_1", fingerprint="fp_1"))

    assert (
        await refused(tx, offer, await left(tx, again, "pm_2", fingerprint="fp_1")) == "offer_identity_used"
    )
    await take(tx, offer, await left(tx, other, "pm_3", fingerprint="fp_3"))


async def test_a_card_is_known_until_another_payment_method_takes_its_place(tx: Tx) -> None:
    await a_shop(tx)
    customer = await left(tx, await another_customer(tx), "pm_1", fingerprint="fp_1")
    assert customer.card_fingerprint == "fp_1"

    same = await change_customer(tx, customer.reference, CustomerChange(payment_method=Name("pm_1")))
    assert same.card_fingerprint == "fp_1"
    changed = await change_customer(tx, customer.reference, CustomerChange(payment_method=Name("pm_2")))
    assert changed.card_fingerprint is None


async def left(tx: Tx, customer: Customer, payment_method: str, *, fingerprint: str) -> Customer:
    """On a page of the provider's."""
    saved = await save_method(
        tx,
        MethodSaved(
            reference=f"cs_{payment_method}",
            our_id=str(customer.id),
            customer="cus_1",
            payment_method=payment_method,
            fingerprint=fingerprint,
        ),
    )
    assert saved is not None
    return saved


async def test_somebody_else_is_not(tx: Tx) -> None:
    first = await a_shop(tx)
    offer = await create_offer(tx, a_new_offer(conditions=WELCOME))
    await take(tx, offer, first)
    await take(tx, offer, await another_customer(tx))

    assert (await store.offer(tx, "WELCOME", counted=True)).redeemed == 2


async def test_each_offer_asks_for_itself(tx: Tx) -> None:
    customer = await a_shop(tx)
    for reference in ("ONE", "TWO"):
        await take(tx, await create_offer(tx, a_new_offer(reference=reference, conditions=WELCOME)), customer)

    assert len(await redemptions_of(tx, customer.id)) == 2


@pytest.mark.parametrize(
    ("conditions", "asked", "guarded"),
    [
        (WELCOME, None, True),
        (WELCOME, False, False),
        (Conditions(), None, False),
        (Conditions(), True, True),
    ],
)
async def test_offers_for_new_customers_are_guarded_unless_they_say_otherwise(
    tx: Tx, conditions: Conditions, asked: bool | None, guarded: bool
) -> None:
    await a_shop(tx)
    offer = await create_offer(tx, a_new_offer(conditions=conditions, one_per_identity=asked))
    await take(tx, offer, await another_customer(tx))
    again = await another_customer(tx, "user-44")

    assert offer == await store.offer(tx, "WELCOME")
    if guarded:
        assert await refused(tx, offer, again) == "offer_identity_used"
    else:
        await take(tx, offer, again)


async def test_who_comes_at_the_same_moment_under_two_names_gets_it_once(
    pool: Pool, tenant: TenantId
) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_shop(tx)
        offer = await create_offer(tx, a_new_offer(conditions=WELCOME))
        first, second = await another_customer(tx, "jo-1"), await another_customer(tx, "jo-2")

    with pytest.raises(Conflict) as refusal:
        await while_open(pool, tenant, lambda tx: take(tx, offer, first), lambda tx: take(tx, offer, second))
    assert refusal.value.code == "offer_identity_used"


async def test_a_crowd_of_one_gets_it_once(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_shop(tx)
        offer = await create_offer(tx, a_new_offer(conditions=WELCOME, max_redemptions=100))
        crowd = [await another_customer(tx, f"jo-{n}", email=f"jo+{n}@hartley.example") for n in range(30)]

    async def try_to(customer: Customer) -> str:
        try:
            async with transaction(pool, tenant, now=NOON) as tx:
                await take(tx, offer, customer)
        except Conflict as refusal:
            return refusal.code
        return "redeemed"

    answers = await asyncio.gather(*(try_to(customer) for customer in crowd))

    assert sorted(answers) == ["offer_identity_used"] * 29 + ["redeemed"]
    async with transaction(pool, tenant, now=NOON) as tx:
        assert (await store.offer(tx, "WELCOME")).redeemed == 1
