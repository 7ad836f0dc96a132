"""`ristourne bill` from a shell: what is due is billed once, shared by processes, and reported."""

import asyncio
import json
import os
import signal
import sys
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import asyncpg

from api.access.create_tenant import Opened
from api.billing import LANES
from api.settings import Settings
from billing.parties.change_customer import change_customer
from billing.parties.model import CustomerChange
from billing.tax.add_tax_rate import add_tax_rate
from kernel.database import Pool, transaction
from subscriptions import billing_store
from subscriptions.billing_run import bill_chunk
from tests.api.test_cli import environment_of
from tests.api.test_cli_keys import ristourne
from tests.books import assert_sound
from tests.servers import Database
from tests.shop import REVERSED
from tests.subscriptions.population import LAST_BILLS, OFFERS, PRICES, a_population
from tests.subscriptions.test_billing_run import one_good_and_one_without_vat_number

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

A_MONTH_AGO = datetime.now(UTC) - timedelta(days=32)
SUBSCRIBED = len(PRICES) * (1 + len(OFFERS))
ENDED = len(PRICES)


async def test_processes_share_what_is_due_and_report_it(
    settings: Settings, database: Database, pool: Pool, opened: Opened
) -> None:
    tenant = opened.test.id
    async with transaction(pool, tenant, now=A_MONTH_AGO) as tx:
        await a_population(tx)
        await add_tax_rate(tx, REVERSED)
        await change_customer(tx, "user-flat-launch", CustomerChange(tax_rate="reverse"))
        before = await tx.conn.fetchval("SELECT count(*) FROM invoices")

    code, said = await ristourne(
        settings, database, "bill", "--workers", "2", "--chunk", "5", "--json", "--tenant", str(tenant)
    )
    report = json.loads(said)

    assert code == 1
    assert (report["claimed"], report["ended"]) == (SUBSCRIBED, ENDED)
    assert report["invoices"] == {"EUR": SUBSCRIBED - ENDED + LAST_BILLS - 1}
    [not_billed] = report["not_billed"]
    assert not_billed["failure"]["code"] == "buyer_vat_number_missing"
    async with transaction(pool, tenant, now=datetime.now(UTC)) as tx:
        billed = await tx.conn.fetchval("SELECT count(*) FROM invoices") - before
        total = await tx.conn.fetchval(
            "SELECT sum(total_minor)::bigint FROM invoices WHERE issued_at > $1", A_MONTH_AGO
        )
        assert billed == report["invoices"]["EUR"]
        assert report["amounts"]["EUR"] == {"minor": total, "currency": "EUR"}
        assert await billing_store.count_due(tx) == 0
        await assert_sound(tx)

    code, said = await ristourne(settings, database, "bill", "--tenant", str(tenant))
    assert (code, said.strip()) == (0, "Nothing is due.")


async def test_what_could_not_be_billed_is_listed_until_it_is(
    settings: Settings, database: Database, pool: Pool, opened: Opened
) -> None:
    tenant = opened.test.id
    listing = ("bill", "--failures", "--tenant", str(tenant))
    assert await ristourne(settings, database, *listing) == (0, "Nothing waits.\n")
    async with transaction(pool, tenant, now=A_MONTH_AGO) as tx:
        _, bad = await one_good_and_one_without_vat_number(tx)
    async with transaction(pool, tenant, now=datetime.now(UTC)) as tx:
        await bill_chunk(tx)

    code, said = await ristourne(settings, database, *listing)
    assert code == 0
    assert said.startswith(f"{bad.id}  1 try, again at ")
    assert "buyer_vat_number_missing: " in said
    code, said = await ristourne(settings, database, *listing, "--json")
    [waiting] = json.loads(said)
    assert waiting["failure"]["attempts"] == 1
    assert waiting["failure"]["subscription_id"] == str(bad.id)


async def test_what_was_billed_is_said_in_words(
    settings: Settings, database: Database, pool: Pool, opened: Opened
) -> None:
    tenant = opened.test.id
    async with transaction(pool, tenant, now=A_MONTH_AGO) as tx:
        await a_population(tx)

    code, said = await ristourne(settings, database, "bill", "--tenant", str(tenant))

    assert code == 0
    assert f"{SUBSCRIBED - ENDED + LAST_BILLS} invoices, " in said
    assert "EUR with VAT" in said
    assert f"{ENDED} subscriptions ended with their offer" in said
    assert "invoices/s" in said


async def test_when_one_of_its_processes_is_killed_the_others_bill_and_it_is_told(
    settings: Settings, database: Database, pool: Pool, opened: Opened, owner: Owner
) -> None:
    tenant = opened.test.id
    async with transaction(pool, tenant, now=A_MONTH_AGO) as tx:
        await a_population(tx)
    words = ("bill", "--workers", "2", "--chunk", "1", "--json", "--tenant", str(tenant))
    # Who issues an invoice has to wait for its number: so both lanes of both processes come to stand.
    async with owner.transaction():
        await owner.execute("SELECT FROM number_series WHERE tenant_id = $1 FOR UPDATE", tenant)
        run = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "api", *words),
            env={"PATH": os.environ["PATH"], **environment_of(settings)},
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            while await waiting(pool) < 2 * LANES:
                await asyncio.sleep(0.05)
        os.kill(await a_child_of(run.pid), signal.SIGKILL)
    said, _ = await run.communicate()

    report = json.loads(said)
    assert (run.returncode, report["stopped"], report["not_billed"]) == (1, 1, [])
    assert (report["claimed"], report["ended"]) == (SUBSCRIBED, ENDED)


async def waiting(pool: Pool) -> int:
    found = await pool.fetchval(
        """
        SELECT count(*)
        FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'
        """
    )
    return int(found)


async def a_child_of(parent: int) -> int:
    listing = await asyncio.create_subprocess_exec(*"ps -A -o ppid= -o pid=".split(), stdout=-1)
    said, _ = await listing.communicate()
    return next(pid for ppid, pid in (map(int, line.split()) for line in said.splitlines()) if ppid == parent)
