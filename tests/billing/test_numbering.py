"""Numbers: no gap, no number twice, and dates in the order of the numbers."""

import asyncio
import re
from datetime import UTC, date, datetime, timedelta

import pytest

from billing.invoices.model import Invoice
from billing.numbering import Numbered, Series, hold, take_number
from billing.parties.add_legal_entity import add_legal_entity
from billing.parties.model import Customer, LegalEntity, NewLegalEntity
from kernel.database import Pool, Tx, begin, commit, rollback, transaction
from kernel.ids import TenantId
from kernel.text import Reference
from tests.makers import NOON, a_line, a_seller
from tests.shop import a_shop, an_issued_invoice, at, default_seller, while_open

NEW_YEAR_IN_PARIS = datetime(2026, 12, 31, 23, 30, tzinfo=UTC)


async def a_legal_entity(
    tx: Tx, form: str = "F{year}-{number}", *, reference: str = "second", time_zone: str = "Europe/Paris"
) -> LegalEntity:
    return await add_legal_entity(
        tx,
        NewLegalEntity(
            reference=Reference(reference),
            seller=a_seller(),
            tax_rate="vat-20",
            invoice_number_format=form,
            time_zone=time_zone,
        ),
    )


async def number(tx: Tx, entity: LegalEntity, series: Series = Series.INVOICE) -> Numbered:
    return await take_number(tx, entity, series)


@pytest.fixture
async def entity(tx: Tx) -> LegalEntity:
    await a_shop(tx)
    return await default_seller(tx)


async def test_numbers_count_up_from_one(tx: Tx, entity: LegalEntity) -> None:
    assert [(await number(tx, entity)).number for _ in range(3)] == [
        "F2026-000001",
        "F2026-000002",
        "F2026-000003",
    ]


async def test_credit_notes_have_a_series_of_their_own(tx: Tx, entity: LegalEntity) -> None:
    await number(tx, entity)

    assert (await number(tx, entity, Series.CREDIT_NOTE)).number == "A2026-000001"


async def test_each_seller_has_a_series_of_its_own(tx: Tx, entity: LegalEntity) -> None:
    await number(tx, entity)

    assert (await number(tx, await a_legal_entity(tx))).number == "F2026-000001"


async def test_a_new_year_begins_a_new_series_where_the_seller_is(tx: Tx, entity: LegalEntity) -> None:
    await number(tx, entity)
    new_york = await a_legal_entity(tx, time_zone="America/New_York")
    later = at(tx, NEW_YEAR_IN_PARIS)

    assert await number(later, entity) == Numbered(number="F2027-000001", issued_on=date(2027, 1, 1))
    assert await number(later, new_york) == Numbered(number="F2026-000001", issued_on=date(2026, 12, 31))


async def test_a_series_without_a_year_goes_on(tx: Tx, entity: LegalEntity) -> None:
    endless = await a_legal_entity(tx, "INV{number}")
    await number(tx, endless)

    assert (await number(at(tx, NEW_YEAR_IN_PARIS), endless)).number == "INV000002"


async def test_a_slower_clock_does_not_date_back(tx: Tx, entity: LegalEntity) -> None:
    tomorrow = await number(at(tx, NOON + timedelta(days=1)), entity)
    late = await number(tx, entity)

    assert (tomorrow.issued_on, late.issued_on) == (date(2026, 1, 16), date(2026, 1, 16))
    assert (await number(at(tx, NOON + timedelta(days=2)), entity)).issued_on == date(2026, 1, 17)


async def test_a_number_grows_beyond_six_digits(tx: Tx, entity: LegalEntity) -> None:
    await number(tx, entity)
    await tx.conn.execute("UPDATE number_series SET last_number = 999999")

    assert (await number(tx, entity)).number == "F2026-1000000"


async def test_a_number_may_end_with_its_year(tx: Tx, entity: LegalEntity) -> None:
    assert (await number(tx, await a_legal_entity(tx, "{number}/{year}"))).number == "000001/2026"


async def test_who_takes_the_next_number_waits_for_the_one_before(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_shop(tx)
        entity = await default_seller(tx)

    second = await while_open(pool, tenant, lambda tx: number(tx, entity), lambda tx: number(tx, entity))

    assert second.number == "F2026-000002"


async def test_in_a_crowd_where_a_third_gives_up_there_is_no_gap(pool: Pool, tenant: TenantId) -> None:
    async def issue(customer: Customer, n: int) -> Invoice | None:
        async with pool.acquire() as conn:
            tx = await begin(conn, tenant, now=NOON + timedelta(days=n % 5))
            invoice = await an_issued_invoice(tx, customer, [a_line()])
            if n % 3 == 0:
                await rollback(tx)
                return None
            await commit(tx)
            return invoice

    async with transaction(pool, tenant, now=NOON) as tx:
        customer = await a_shop(tx)

    answers = await asyncio.gather(*(issue(customer, n) for n in range(64)))

    issued = sorted((each for each in answers if each), key=lambda each: each.number)
    assert [each.number for each in issued] == [f"F2026-{n:06d}" for n in range(1, len(issued) + 1)]
    assert len(issued) == 42
    dates = [each.issued_on for each in issued]
    assert dates == sorted(dates)
    assert all(re.fullmatch(r"F2026-\d{6}", each.number) for each in issued)


async def test_a_series_that_has_not_begun_is_held_too(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await a_shop(tx)
        entity = await default_seller(tx)
    waited_for: list[Numbered] = []

    async def take(tx: Tx) -> None:
        waited_for.append(await number(tx, entity))

    # Whoever comes second waits for the first to end, and is numbered after it.
    await while_open(pool, tenant, lambda tx: hold(tx, entity, Series.INVOICE), take)

    assert [each.number for each in waited_for] == ["F2026-000001"]
