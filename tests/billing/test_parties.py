"""Sellers and buyers: what the law and the tax office can read, and one default at a time."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from api.access.create_tenant import create_tenant
from billing.parties import rules, store
from billing.parties.add_customer import add_customer
from billing.parties.add_legal_entity import add_legal_entity
from billing.parties.change_customer import change_customer
from billing.parties.change_settings import change_settings
from billing.parties.model import (
    CustomerChange,
    Language,
    LegalEntity,
    NewCustomer,
    NewLegalEntity,
    RefundMode,
    SettingsChange,
)
from billing.tax.add_tax_rate import add_tax_rate
from billing.tax.model import NewTaxRate
from kernel.database import Pool, Tx, transaction
from kernel.decimals import Rate
from kernel.errors import Conflict, Invalid, NotFound
from kernel.ids import TenantId
from kernel.paging import Window
from kernel.text import Email, Name, Reference
from tests.makers import NOON, a_seller, an_address
from tests.shop import a_shop, a_transaction, an_issued_invoice, another_customer, default_seller, while_open


def a_new_entity(
    reference: str = "second", *, is_default: bool = False, time_zone: str = "Europe/Paris"
) -> NewLegalEntity:
    return NewLegalEntity(
        reference=Reference(reference),
        seller=a_seller(),
        tax_rate="vat-20",
        is_default=is_default,
        time_zone=time_zone,
    )


def a_new_customer(reference: str, payment_method: str | None = None) -> NewCustomer:
    return NewCustomer(
        reference=Reference(reference),
        name=Name("x"),
        email=Email("x@y.example"),
        address=an_address(),
        payment_method=Name(payment_method) if payment_method else None,
    )


async def a_rate(tx: Tx) -> None:
    rate = NewTaxRate(reference=Reference("vat-20"), name=Name("TVA 20 %"), rate=Rate.parse("20"))
    await add_tax_rate(tx, rate)


async def defaults(tx: Tx) -> list[str]:
    entities = await store.legal_entities(tx, Window())
    return [entity.reference for entity in entities.data if entity.is_default]


# ── Numbers of the tax office ───────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("FR40303265045", "FR40303265045"),
        (" fr 40 303 265 045 ", "FR40303265045"),
        ("DE136695976", "DE136695976"),
        ("EL094259216", "EL094259216"),
        ("BE0428759497", "BE0428759497"),
        ("GB123456789", "GB123456789"),  # not checked: not of the EU
        ("CHE-107.787.577 MWST", "CHE-107.787.577 MWST"),
    ],
)
def test_a_vat_number_is_checked_and_kept_in_its_compact_form(given: str, kept: str) -> None:
    assert rules.check_vat_number(given) == kept


@pytest.mark.parametrize("number", ["FR40303265046", "FR", "DE123", "404833048", "é1", "FR²0303265045", "F1"])
def test_a_vat_number_that_cannot_be_is_refused(number: str) -> None:
    with pytest.raises(Invalid) as refused:
        rules.check_vat_number(number)
    assert refused.value.code == "vat_number_invalid"


@given(
    st.sampled_from(["FR", "DE", "ES", "IE", "NL", "XI", "EL", "BE", "GB", ""]),
    st.text(st.characters(exclude_categories=["C", "Z"]), max_size=16).map(Name),
)
def test_whatever_is_given_for_a_vat_number_is_answered(prefix: str, rest: Name) -> None:
    with suppress(Invalid):
        assert rules.check_vat_number(prefix + rest).isprintable()


def test_a_siren_is_checked() -> None:
    for wrong in ("303265046", "30326504", "x", "²03265045"):
        with pytest.raises(Invalid) as refused:
            rules.checked_seller(a_seller(siren=Name(wrong)))
        assert refused.value.code == "siren_invalid"


def test_a_sellers_numbers_are_kept_in_their_compact_form() -> None:
    seller = rules.checked_seller(a_seller(siren=Name("303 265 045"), vat_number=Name("fr 40 ３03 265 045")))

    assert (seller.siren, seller.vat_number) == ("303265045", "FR40303265045")
    assert rules.checked_seller(a_seller(vat_number=None)).vat_number is None


async def test_a_french_seller_without_a_siren_is_refused(tx: Tx) -> None:
    await a_rate(tx)
    with pytest.raises(Invalid) as refused:
        await add_legal_entity(tx, replace(a_new_entity(), seller=a_seller(siren=None)))
    assert (refused.value.code, refused.value.param) == ("siren_required", "seller.siren")

    abroad = a_seller(siren=None, address=an_address("1 High St", "E1 6AN", "London", "GB"), vat_number=None)
    entity = await add_legal_entity(tx, replace(a_new_entity(), seller=abroad))
    assert entity.seller.siren is None


async def test_a_buyers_siren_is_checked_and_kept_in_its_compact_form(tx: Tx) -> None:
    await a_shop(tx)
    known = replace(a_new_customer("user-44"), siren=Name(" 303 265 045 "))
    assert (await add_customer(tx, known)).siren == "303265045"
    assert (await store.customer(tx, "user-44")).buyer.siren == "303265045"

    for wrong in ("303265046", "30326504", "x"):
        with pytest.raises(Invalid) as refused:
            await add_customer(tx, replace(a_new_customer("user-45"), siren=Name(wrong)))
        assert (refused.value.code, refused.value.param) == ("siren_invalid", "siren")
        with pytest.raises(Invalid):
            await change_customer(tx, "user-42", CustomerChange(siren=Name(wrong)))
    changed = await change_customer(tx, "user-42", CustomerChange(siren=Name("404 833 048")))
    assert changed.siren == (await store.customer(tx, "user-42")).siren == "404833048"
    assert (await change_customer(tx, "user-42", CustomerChange(siren=None))).siren is None


@pytest.mark.parametrize(
    "zone", ["Paris", "", "Europe", "../etc/passwd", "/etc/passwd", "a\x00b", "é", "x" * 9999]
)
def test_a_time_zone_is_one_that_is_known(zone: str) -> None:
    with pytest.raises(Invalid) as refused:
        rules.check_time_zone(zone)
    assert refused.value.code == "time_zone_unknown"


@pytest.mark.parametrize("form", ["{number}", "F{year}-{number}", "{number}/{year}", "INV_{number}+{year}"])
def test_a_number_format_holds_the_number_and_perhaps_the_year(form: str) -> None:
    rules.check_format(form, param="invoice_number_format")


@pytest.mark.parametrize(
    "form",
    [
        "",
        "F{year}",
        "{number}{number}",
        "{year}{year}{number}",
        "F {number}",
        "É{number}",
        "{month}{number}",
        "{number}\n",
        "#{number}",
        "F" * 24 + "{number}",  # 36 characters once the number has twelve digits
        "F" * 20 + "{year}{number}",
    ],
)
def test_a_number_has_at_most_35_plain_characters(form: str) -> None:
    with pytest.raises(Invalid) as refused:
        rules.check_format(form, param="invoice_number_format")
    assert refused.value.code == "number_format_invalid"


async def test_invoices_and_credit_notes_can_be_told_apart(tx: Tx) -> None:
    await a_rate(tx)
    alike = NewLegalEntity(
        reference=Reference("x"),
        seller=a_seller(),
        tax_rate="vat-20",
        invoice_number_format="{number}",
        credit_note_number_format="{number}",
    )
    with pytest.raises(Invalid) as refused:
        await add_legal_entity(tx, alike)
    assert refused.value.code == "number_formats_alike"


# ── Sellers ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_first_seller_is_the_default(tx: Tx) -> None:
    await a_rate(tx)
    first = await add_legal_entity(tx, a_new_entity("first"))
    second = await add_legal_entity(tx, a_new_entity("second"))

    assert (first.is_default, second.is_default) == (True, False)
    assert await default_seller(tx) == first


async def test_a_new_default_takes_over(tx: Tx) -> None:
    await a_rate(tx)
    await add_legal_entity(tx, a_new_entity("first"))
    await add_legal_entity(tx, a_new_entity("second", is_default=True))

    assert await defaults(tx) == ["second"]


async def test_customers_stay_with_the_seller_they_have(tx: Tx) -> None:
    customer = await a_shop(tx)
    await add_legal_entity(tx, a_new_entity("second", is_default=True))

    assert (await store.customer(tx, "user-42")).legal_entity_id == customer.legal_entity_id
    assert (await another_customer(tx)).legal_entity_id != customer.legal_entity_id


async def test_of_two_first_sellers_at_once_one_is_the_default(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_rate(tx)

    async def add(reference: str, tx: Tx) -> LegalEntity:
        return await add_legal_entity(tx, a_new_entity(reference))

    await while_open(pool, tenant, lambda tx: add("first", tx), lambda tx: add("second", tx))

    async with transaction(pool, tenant, now=NOON) as tx:
        assert await defaults(tx) == ["first"]


async def test_who_waits_for_a_new_default_does_not_become_it(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_shop(tx)

    await while_open(
        pool,
        tenant,
        lambda tx: add_legal_entity(tx, a_new_entity("new", is_default=True)),
        lambda tx: add_legal_entity(tx, a_new_entity("other")),
    )

    async with transaction(pool, tenant, now=NOON) as tx:
        assert await defaults(tx) == ["new"]


async def test_documents_need_a_seller(tx: Tx) -> None:
    with pytest.raises(Conflict) as refused:
        await another_customer(tx)
    assert refused.value.code == "legal_entity_missing"


async def test_a_seller_is_named_once(tx: Tx) -> None:
    await a_shop(tx)
    with pytest.raises(Conflict) as refused:
        await add_legal_entity(tx, a_new_entity("main"))
    assert refused.value.code == "reference_taken"


# ── Customers ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_customer_is_found_by_reference_and_by_id(tx: Tx) -> None:
    customer = await a_shop(tx)

    assert await store.customer(tx, "user-42") == customer == await store.customer(tx, str(customer.id))
    with pytest.raises(NotFound, match="no customer 'nobody'"):
        await store.customer(tx, "nobody")


async def test_a_customer_is_added_once(tx: Tx) -> None:
    await a_shop(tx)
    with pytest.raises(Conflict) as refused:
        await another_customer(tx, "user-42")
    assert refused.value.code == "reference_taken"


async def test_a_customer_speaks_the_sellers_language_unless_told(tx: Tx) -> None:
    await a_rate(tx)
    english = NewLegalEntity(
        reference=Reference("uk"), seller=a_seller(), tax_rate="vat-20", language=Language.ENGLISH
    )
    await add_legal_entity(tx, english)

    assert (await another_customer(tx)).language is Language.ENGLISH


async def test_only_what_is_sent_changes(tx: Tx) -> None:
    before = await a_shop(tx)
    after = await change_customer(tx, "user-42", CustomerChange(vat_number=Name("fr 40303265045")))

    assert (after.vat_number, after.name, after.email) == ("FR40303265045", before.name, before.email)
    assert await store.customer(tx, "user-42") == after
    assert (await change_customer(tx, "user-42", CustomerChange(vat_number=None))).vat_number is None


async def test_a_rate_of_the_customers_own_is_set_and_taken_away(tx: Tx) -> None:
    await a_shop(tx)
    changed = await change_customer(tx, "user-42", CustomerChange(tax_rate="vat-20"))
    assert changed.tax_rate_id is not None

    assert (await change_customer(tx, "user-42", CustomerChange(tax_rate=None))).tax_rate_id is None


async def test_a_document_keeps_the_buyer_it_was_issued_to(tx: Tx) -> None:
    customer = await a_shop(tx, name="Before")
    invoice = await an_issued_invoice(tx, customer)
    await change_customer(tx, "user-42", CustomerChange(name=Name("After")))

    assert invoice.buyer.name == "Before"


async def test_a_vat_number_that_cannot_be_is_refused_on_the_way_in(tx: Tx) -> None:
    await a_shop(tx)
    wrong = replace(a_new_customer("user-44"), vat_number=Name("FR00000000000"))
    with pytest.raises(Invalid):
        await add_customer(tx, wrong)
    with pytest.raises(Invalid):
        await change_customer(tx, "user-42", CustomerChange(vat_number=Name("FR00000000000")))


async def test_a_live_tenant_has_nothing_to_charge_until_a_provider_is_connected(pool: Pool) -> None:
    async with pool.acquire() as conn, conn.transaction():
        opened = await create_tenant(conn, "Nuage Clair", now=NOON)

    async with a_transaction(pool, tenant=opened.live.id) as tx:
        await a_shop(tx)
        for act in (
            add_customer(tx, a_new_customer("user-44", "pm_card")),
            change_customer(tx, "user-42", CustomerChange(payment_method=Name("pm_card"))),
        ):
            with pytest.raises(Conflict) as refused:
                await act
            assert (refused.value.code, refused.value.param) == ("gateway_missing", "payment_method")
        assert (await add_customer(tx, a_new_customer("user-45"))).payment_method is None
    async with a_transaction(pool, tenant=opened.test.id) as tx:
        await a_shop(tx)
        assert (await add_customer(tx, a_new_customer("user-44", "pm_card"))).payment_method == "pm_card"


# ── Settings ────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_tenant_that_has_set_nothing_refunds_at_once(tx: Tx) -> None:
    settings = await store.settings(tx)

    assert (settings.refund_mode, settings.refund_after_days) == (RefundMode.AUTOMATIC, 14)


async def test_a_setting_changes_and_the_others_stay(tx: Tx) -> None:
    await change_settings(tx, SettingsChange(refund_mode=RefundMode.DEFERRED))
    await change_settings(tx, SettingsChange(refund_after_days=30))

    settings = await store.settings(tx)
    assert (settings.refund_mode, settings.refund_after_days) == (RefundMode.DEFERRED, 30)


@pytest.mark.parametrize("is_set_before", [False, True])
async def test_two_changes_at_once_both_hold(pool: Pool, tenant: TenantId, is_set_before: bool) -> None:
    if is_set_before:
        async with transaction(pool, tenant, now=NOON) as tx:
            await change_settings(tx, SettingsChange(refund_mode=RefundMode.DEFERRED, refund_after_days=7))

    await while_open(
        pool,
        tenant,
        lambda tx: change_settings(tx, SettingsChange(refund_mode=RefundMode.MANUAL)),
        lambda tx: change_settings(tx, SettingsChange(refund_after_days=30)),
    )

    async with transaction(pool, tenant, now=NOON) as tx:
        settings = await store.settings(tx)
    assert (settings.refund_mode, settings.refund_after_days) == (RefundMode.MANUAL, 30)
