"""The billing run: what it bills is what would be billed one by one, and one bad case stops nobody."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from api.billing import bill_due
from billing.invoices.events import InvoiceIssued
from billing.invoices.model import InvoiceId
from billing.parties import store as parties
from billing.parties.change_customer import change_customer
from billing.parties.model import CustomerChange
from billing.tax.add_tax_rate import add_tax_rate
from kernel.database import Door, Pool, Tx, leave_behind, transaction
from kernel.ids import TenantId
from kernel.text import Name
from subscriptions import billing_store, renew, store
from subscriptions.billing_run import RETRY_AFTER, Chunk, bill_chunk
from subscriptions.events import RenewalFailed
from subscriptions.model import Subscription
from subscriptions.sign_up import sign_up
from tests.books import assert_sound
from tests.makers import NOON
from tests.shop import REVERSED, a_credit, a_payment, a_transaction, an_issued_invoice, at, by_amount
from tests.subscriptions.plans import a_signup, signed_up
from tests.subscriptions.population import LAST_BILLS, OFFERS, PRICES, a_population, documents

DUE = NOON + timedelta(days=31)


async def run(tx: Tx, *, limit: int = 7) -> list[Chunk]:
    """Chunk after chunk, until nothing is claimed."""
    chunks = []
    while (chunk := await bill_chunk(tx, limit=limit)).claimed:
        chunks.append(chunk)
    return chunks


async def test_a_run_bills_what_would_have_been_billed_one_by_one(pool: Pool) -> None:
    async with a_transaction(pool) as tx:
        for subscription in await a_population(tx):
            await renew.renew(at(tx, DUE), subscription.id)
        one_by_one = await documents(tx)
    async with a_transaction(pool) as tx:
        await a_population(tx)
        chunks = await run(at(tx, DUE))
        in_chunks = await documents(tx)
        await assert_sound(tx)

    subscribed = len(PRICES) * (1 + len(OFFERS))
    trials, ended = len(PRICES), len(PRICES)
    assert in_chunks == one_by_one
    assert len(in_chunks) == 2 * subscribed - trials - ended + LAST_BILLS
    assert sum(chunk.claimed for chunk in chunks) == subscribed
    assert sum(chunk.ended for chunk in chunks) == ended


async def test_a_run_pays_with_what_is_left_of_notes_as_one_by_one(pool: Pool) -> None:
    """Some have less than their invoice comes to, some more: what a downgrade leaves is such a rest."""
    async with a_transaction(pool) as tx:
        subscriptions = await a_population(tx)
        await some_balances(tx, subscriptions)
        for subscription in subscriptions:
            await renew.renew(at(tx, DUE), subscription.id)
        one_by_one = await applied(tx)
    async with a_transaction(pool) as tx:
        await some_balances(tx, await a_population(tx))
        await run(at(tx, DUE), limit=30)
        in_chunks = await applied(tx)
        await assert_sound(tx)

    assert in_chunks == one_by_one
    assert {status for _, _, status in in_chunks} == {"settled", "partly_settled"}
    assert len(in_chunks) > 10


async def some_balances(tx: Tx, subscriptions: Sequence[Subscription]) -> None:
    """A note of which all is left, 4.80 or 93.60, for every fifth of them."""
    for number, subscription in enumerate(subscriptions[::5]):
        customer = await parties.customer(tx, subscription.customer_id)
        invoice = await an_issued_invoice(tx, customer)
        await a_payment(tx, invoice)
        await a_credit(tx, invoice, by_amount(invoice.lines[0], 78_00 if number % 2 else 4_00))


async def applied(tx: Tx) -> list[tuple[str, int, str]]:
    """What was applied: of which note, how much, and how that invoice stands."""
    rows = await tx.conn.fetch(
        """
        SELECT c.number, s.amount_minor, i.status
        FROM settlements s
        JOIN credit_notes c ON c.id = s.credit_note_id
        JOIN invoice_settlements i ON i.invoice_id = s.invoice_id
        WHERE NOT s.is_own
        ORDER BY c.number, s.amount_minor, i.status
        """
    )
    return [tuple(row.values()) for row in rows]


async def test_a_chunk_is_written_in_as_many_statements_as_a_single_one(pool: Pool) -> None:
    counts = []
    for limit in (1, 2_000):
        async with a_transaction(pool) as tx:
            await a_population(tx)
            await leave_behind(tx)
            statements: list[str] = []
            with tx.conn.query_logger(lambda query, seen=statements: seen.append(query.query)):
                await bill_chunk(at(tx, DUE), limit=limit)
                await asyncio.sleep(0)  # the last one is logged a moment later
            counts.append(len(statements))

    # Redemptions, their offers, their counts, reminders, how they add up, and usage: the one had none.
    assert counts[1] <= counts[0] + 6
    assert counts[1] <= 19


async def one_good_and_one_without_vat_number(tx: Tx) -> tuple[Subscription, Subscription]:
    good = (await signed_up(tx)).subscription
    bad = (await sign_up(tx, a_signup(customer="user-78"))).subscription
    await add_tax_rate(tx, REVERSED)
    await change_customer(tx, "user-78", CustomerChange(tax_rate="reverse"))
    return good, bad


async def test_what_cannot_be_billed_is_put_aside_with_its_reason_and_stops_nobody(tx: Tx) -> None:
    good, bad = await one_good_and_one_without_vat_number(tx)

    [chunk] = await run(at(tx, DUE))

    assert [(each.subscription_id, each.code) for each in chunk.failures] == [
        (bad.id, "buyer_vat_number_missing")
    ]
    assert (await store.get(tx, good.id)).period_number == 1
    assert (await store.get(tx, bad.id)).period_number == 0
    assert await billing_store.next_renewal(tx) == DUE + RETRY_AFTER[0]
    assert tx.events[-1] == RenewalFailed(
        subscription_id=bad.id, code="buyer_vat_number_missing", detail=chunk.failures[0].detail
    )


async def test_once_its_reason_is_mended_it_is_billed(tx: Tx) -> None:
    _, bad = await one_good_and_one_without_vat_number(tx)
    await run(at(tx, DUE))
    await change_customer(tx, "user-78", CustomerChange(vat_number=Name("FR83404833048")))

    assert await run(at(tx, DUE)) == []  # not before its time
    [chunk] = await run(at(tx, DUE + RETRY_AFTER[0]))

    assert (chunk.claimed, chunk.failures) == (1, ())
    assert (await store.get(tx, bad.id)).period_number == 1
    assert await tx.conn.fetchval("SELECT count(*) FROM renewal_failures") == 0


async def test_in_the_end_nobody_tries_it_again_but_by_hand(tx: Tx) -> None:
    _, bad = await one_good_and_one_without_vat_number(tx)
    now = DUE
    for wait in RETRY_AFTER:
        [*_, last] = await run(at(tx, now))
        assert [failure.subscription_id for failure in last.failures] == [bad.id]
        now += wait

    await run(at(tx, now))
    assert await run(at(tx, now + timedelta(days=365))) != []  # the good one goes on
    assert (await store.get(tx, bad.id)).period_number == 0
    await change_customer(tx, "user-78", CustomerChange(vat_number=Name("FR83404833048")))
    assert (await renew.renew(at(tx, now), bad.id)).subscription.period_number == 1
    assert await tx.conn.fetchval("SELECT count(*) FROM renewal_failures") == 0


async def test_what_the_database_refuses_is_found_among_the_others_and_put_aside(tx: Tx) -> None:
    """A period that has its invoice already cannot be billed again, whatever the subscription's row says."""
    subscriptions = await a_population(tx)
    good, bad = subscriptions[7], subscriptions[8]
    await tx.conn.execute(
        """
        INSERT INTO subscription_invoices (tenant_id, subscription_id, period_start, period_end, invoice_id)
        VALUES ($1, $2, $3, $4, $5)
        """,
        tx.tenant,
        bad.id,
        bad.current_period.end,
        bad.current_period.end + timedelta(days=31),
        InvoiceId.new(),
    )

    [chunk] = await run(at(tx, DUE), limit=2_000)

    assert [(each.subscription_id, each.code, each.detail) for each in chunk.failures] == [
        (bad.id, "internal", "UniqueViolationError")
    ]
    assert chunk.claimed == len(subscriptions)
    issued = [event.invoice_id for event in tx.events if isinstance(event, InvoiceIssued)]
    assert len(issued) == len(set(issued)) == await tx.conn.fetchval("SELECT count(*) FROM invoices")
    assert (await store.get(tx, bad.id)).period_number == 0
    assert (await store.get(tx, good.id)).period_number == 1
    await assert_sound(tx)


async def test_any_number_of_workers_share_a_run(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        subscriptions = await a_population(tx)
        before = int(await tx.conn.fetchval("SELECT count(*) FROM invoices"))

    claimed = await asyncio.gather(
        *(bill_due(Door(pool=pool, tenant=tenant, now=lambda: DUE), limit=3) for _ in range(3))
    )

    assert sum(claimed) == len(subscriptions)
    async with transaction(pool, tenant, now=DUE) as tx:
        numbers = await tx.conn.fetch("SELECT number FROM invoices ORDER BY number")
        billed = await tx.conn.fetchval(
            "SELECT count(*) FROM subscription_invoices WHERE period_start = $1",
            subscriptions[0].current_period.end,
        )
        issued = before + billed + LAST_BILLS
        assert [row["number"] for row in numbers] == [f"F2026-{n:06d}" for n in range(1, issued + 1)]
        assert billed == len(subscriptions) - len(PRICES)  # but for those that ended with their offer
        assert await billing_store.count_due(tx) == 0
        await assert_sound(tx)
