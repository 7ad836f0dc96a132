"""A billing run of three processes, killed again and again with SIGKILL: each period is billed once.

`make test` kills a few times, `make torture` fifty times. Before each shot the process is stopped for a
moment and PostgreSQL asked whether it had claimed subscriptions and not committed: such shots are counted.
SEED, which is printed, chooses the moments.
"""

import asyncio
import os
import random
import secrets
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import TypeAlias

import asyncpg
import pytest

from api import clock, serve
from api.access.create_tenant import create_tenant
from api.cli_bill import Told
from api.settings import Settings, as_role
from billing.invoices.model import InvoiceId
from billing.parties.add_legal_entity import add_legal_entity
from billing.parties.model import NewLegalEntity
from kernel.database import Pool, transaction
from kernel.ids import TenantId
from kernel.periods import plus_months
from kernel.structs import decode
from kernel.text import Reference
from tests import servers
from tests.books import assert_balanced, assert_owed
from tests.makers import a_seller
from tests.servers import Database
from tests.subscriptions.population import a_population, add_copies, keep_originals

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

KILLS = int(os.environ.get("KILLS", "6"))
SEED = int(os.environ.get("SEED", secrets.randbelow(1_000_000)))
PROCESSES = 3
PERIODS = 3  # that are due of each subscription
COPIES = 200  # in each tenant, and as many again whenever all is billed before the last shot
CHUNK = 20


@pytest.mark.timeout(60 + 15 * KILLS)
async def test_a_run_killed_at_random_moments_bills_each_period_once(
    owner: Owner, pool: Pool, crew: "list[Process]"
) -> None:
    tenants = await due_for_months(owner, pool)
    shots = random.Random(SEED)  # noqa: S311 (nobody guesses it)
    killed = claimed = chunks = 0

    while killed < KILLS:
        await at_work(crew, owner)
        for process in shots.sample(crew, min(shots.randint(1, PROCESSES), KILLS - killed)):
            await asyncio.sleep(shots.uniform(0, 0.3))
            lost = await process.kill(owner)
            if lost is not None:
                killed, claimed, chunks = killed + 1, claimed + bool(lost), chunks + lost
    await to_the_end(crew, owner)

    invoices = await owner.fetchval("SELECT count(*) FROM invoices JOIN run USING (tenant_id, id)")
    told = sum(process.told() for process in crew)
    print(f"SEED={SEED}: {killed} killed, {claimed} of them inside {chunks} chunks; {invoices} invoices")
    assert claimed >= KILLS // 2, "too few shots hit a process at work to say anything"
    assert 0 < told <= invoices, "what was told of was committed"
    await check_periods(owner)
    await check_numbers(owner)
    await check_documents(owner)
    await check_redemptions(owner)
    await check_events(owner)
    for tenant in tenants:
        async with transaction(pool, tenant, now=clock.now()) as tx:
            await assert_balanced(tx)
            await assert_owed(tx)


# ── what is due ──────────────────────────────────────────────────────────────────────────────────


async def due_for_months(owner: Owner, pool: Pool) -> list[TenantId]:
    """Two tenants with two sellers each, and subscriptions of every kind that nobody has billed."""
    day = plus_months(clock.now().date(), -PERIODS) - timedelta(days=2)
    began = datetime.combine(day, time(11), UTC)
    async with pool.acquire() as conn, conn.transaction():
        opened = await create_tenant(conn, "Nuage Clair", now=began)
    tenants = [opened.live.id, opened.test.id]
    for tenant in tenants:
        async with transaction(pool, tenant, now=began) as tx:
            await a_population(tx)
            other = NewLegalEntity(reference=Reference("other"), seller=a_seller(), tax_rate="vat-20")
            await add_legal_entity(tx, other)
    await owner.execute("CREATE TEMP TABLE before AS SELECT id FROM invoices")
    await owner.execute(
        """
        CREATE TEMP VIEW run AS
        SELECT tenant_id, id FROM invoices WHERE id NOT IN (SELECT id FROM before)
        """
    )
    await keep_originals(owner)
    await add_copies(owner, COPIES)
    return tenants


async def count_due(owner: Owner) -> int:
    due = await owner.fetchval("SELECT count(*) FROM subscriptions WHERE next_billing_at <= $1", clock.now())
    return int(due)


# ── who bills it ─────────────────────────────────────────────────────────────────────────────────


class Process:
    """One `ristourne …` after the other, under a role of its own, by which PostgreSQL tells it apart."""

    def __init__(self, words: Sequence[str], role: str, environment: dict[str, str], told: Path) -> None:
        self.role = role
        self._words = words
        self._environment = environment
        self._told = told
        self._running: asyncio.subprocess.Process | None = None

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.returncode is None

    async def start(self) -> None:
        with self._told.open("ab") as told:
            self._running = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "api", *self._words),
                cwd=serve.ROOT,
                env=self._environment,
                stdout=told,
            )

    async def kill(self, owner: Owner) -> int | None:
        """How many chunks it had claimed and not committed; None when it had come to its end already."""
        if self._running is None or self._running.returncode is not None:
            return None
        self._running.send_signal(signal.SIGSTOP)
        chunks = await self.open_chunks(owner)
        self._running.kill()
        return chunks if await self._running.wait() == -signal.SIGKILL else None

    async def end(self) -> None:
        assert self._running is not None
        assert await self._running.wait() == 0

    async def open_chunks(self, owner: Owner) -> int:
        """Claiming locks rows, which takes a transaction id."""
        found = await owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE usename = $1 AND backend_xid IS NOT NULL", self.role
        )
        return int(found)

    def told(self) -> int:
        """Of how many invoices it has told. A line is written at once, or not at all."""
        lines = self._told.read_bytes().splitlines()
        return sum(sum(decode(line, Told).chunk.invoices.values()) for line in lines)


@pytest.fixture
async def crew(
    owner: Owner, database: Database, settings: Settings, tmp_path: Path
) -> AsyncIterator[list[Process]]:
    words = ("bill", "--lines", "--chunk", str(CHUNK))
    async with a_crew(PROCESSES, words, owner, database, settings, tmp_path) as crew:
        yield crew


@asynccontextmanager
async def a_crew(
    count: int, words: Sequence[str], owner: Owner, database: Database, settings: Settings, folder: Path
) -> AsyncIterator[list[Process]]:
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": servers.SECRET_KEY.hex(),
    }
    roles = [f"{database.name}_{n}" for n in range(count)]
    for role in roles:
        await owner.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret' IN ROLE ristourne_app")
    crew = [
        Process(
            words,
            role,
            {**environment, "APP_DATABASE_URL": as_role(database.owner_url, role, "secret")},
            folder / role,
        )
        for role in roles
    ]
    try:
        yield crew
    finally:
        for process in crew:
            await process.kill(owner)
        for role in roles:
            await owner.execute(f"DROP ROLE {role}")


async def at_work(crew: Sequence[Process], owner: Owner) -> None:
    """All of them run and have claimed something since; where all is billed, more falls due."""
    idle = set(crew)
    while idle:
        if await count_due(owner) < COPIES:
            await add_copies(owner, COPIES)
        for process in crew:
            if not process.is_running:
                await process.start()
                idle.add(process)
            elif process in idle and await process.open_chunks(owner):
                idle.remove(process)
        await asyncio.sleep(0.02)


async def to_the_end(crew: Sequence[Process], owner: Owner) -> None:
    """What the dead had locked may still be locked when the others come to the end."""
    for _ in range(10):
        for process in crew:
            if not process.is_running:
                await process.start()
        await asyncio.gather(*(process.end() for process in crew))
        if not await count_due(owner):
            return
    raise AssertionError("something stays due")


# ── what must be true ────────────────────────────────────────────────────────────────────────────


async def none_of(owner: Owner, query: str, *values: object) -> None:
    rows = await owner.fetch(f"{query} LIMIT 5", *values)
    assert not rows, [dict(row) for row in rows]


async def check_periods(owner: Owner) -> None:
    """Each month from its anchor that has begun is billed once; what SHORT was for ends instead.

    What is left of its usage then is billed once as well, beside the bill of its period.
    """
    await owner.execute(
        """
        CREATE TEMP VIEW expected AS
        SELECT s.tenant_id, s.id,
               (s.anchor_at AT TIME ZONE 'Europe/Paris' + k * interval '1 month') AT TIME ZONE 'Europe/Paris'
                   AS begins,
               (s.anchor_at AT TIME ZONE 'Europe/Paris' + (k + 1) * interval '1 month')
                   AT TIME ZONE 'Europe/Paris' AS ends
        FROM copies c
        JOIN subscriptions s ON s.tenant_id = c.tenant_id AND s.id = c.id
        JOIN originals o ON o.tenant_id = c.tenant_id AND o.kind = c.kind
        CROSS JOIN generate_series(0, 12) k
        WHERE k > (o.subscription).period_number
          AND (o.redemption).offer_id IS DISTINCT FROM
              (SELECT id FROM offers f WHERE f.tenant_id = s.tenant_id AND f.reference = 'SHORT')
        """
    )
    now = clock.now()
    linked = """
        SELECT i.tenant_id, i.subscription_id, i.period_start, i.period_end
        FROM subscription_invoices i JOIN run r ON r.tenant_id = i.tenant_id AND r.id = i.invoice_id
    """
    billed, last = f"{linked} WHERE i.change_number = 0", f"{linked} WHERE i.change_number > 0"
    await none_of(owner, f"SELECT * FROM expected WHERE begins <= $1 EXCEPT ALL {billed}", now)
    await none_of(owner, f"{billed} EXCEPT ALL SELECT * FROM expected WHERE begins <= $1", now)
    await none_of(owner, f"SELECT subscription_id FROM ({last}) l GROUP BY 1 HAVING count(*) > 1")
    assert await owner.fetchval(f"SELECT count(*) FROM ({linked}) b") == await owner.fetchval(
        "SELECT count(*) FROM run"
    )
    await none_of(
        owner,
        """
        SELECT s.id, s.status, s.period_number, s.current_period_start, s.next_billing_at
        FROM copies c
        JOIN subscriptions s ON s.tenant_id = c.tenant_id AND s.id = c.id
        LEFT JOIN LATERAL (
            SELECT max(begins) AS begins, max(ends) AS ends FROM expected e WHERE e.id = s.id AND begins <= $1
        ) e ON true
        WHERE (e.begins IS NULL) <> (s.status = 'ended')
           OR (s.status <> 'ended' AND
               (s.status, s.current_period_start, s.current_period_end, s.next_billing_at)
               IS DISTINCT FROM ('active', e.begins, e.ends, e.ends))
        """,
        now,
    )
    await none_of(owner, "SELECT * FROM renewal_failures")


async def check_numbers(owner: Owner) -> None:
    """From 1 to the last without a gap, and no date before that of the number before."""
    series = await owner.fetch(
        "SELECT tenant_id, legal_entity_id, year, last_number FROM number_series WHERE kind = 'invoice'"
    )
    assert len({(each["tenant_id"], each["legal_entity_id"]) for each in series}) == 4
    for each in series:
        rows = await owner.fetch(
            """
            SELECT number, issued_on
            FROM invoices
            WHERE tenant_id = $1 AND legal_entity_id = $2 AND number LIKE $3
            ORDER BY number
            """,
            each["tenant_id"],
            each["legal_entity_id"],
            f"F{each['year']}-%",
        )
        assert [row["number"] for row in rows] == [
            f"F{each['year']}-{n:06d}" for n in range(1, each["last_number"] + 1)
        ]
        dates = [row["issued_on"] for row in rows]
        assert dates == sorted(dates)


async def check_documents(owner: Owner) -> None:
    """Whole, each of them, and copies of one original are billed alike."""
    await none_of(
        owner,
        """
        SELECT i.id, i.total_minor, lines.net, taxes.tax, settled.total, booked.minor
        FROM run
        JOIN invoices i ON i.tenant_id = run.tenant_id AND i.id = run.id
        CROSS JOIN LATERAL (SELECT sum(net_minor) AS net FROM invoice_lines l
                            WHERE l.tenant_id = i.tenant_id AND l.invoice_id = i.id) lines
        CROSS JOIN LATERAL (SELECT sum(tax_minor) AS tax FROM invoice_taxes t
                            WHERE t.tenant_id = i.tenant_id AND t.invoice_id = i.id) taxes
        CROSS JOIN LATERAL (SELECT sum(total_minor) AS total FROM invoice_settlements s
                            WHERE s.tenant_id = i.tenant_id AND s.invoice_id = i.id) settled
        CROSS JOIN LATERAL (SELECT COALESCE(sum(amount_minor), 0) AS minor FROM ledger_entries e
                            WHERE e.tenant_id = i.tenant_id AND e.invoice_id = i.id
                              AND e.account = '411') booked
        WHERE (lines.net, taxes.tax, settled.total, booked.minor)
              IS DISTINCT FROM (i.net_minor, i.tax_minor, i.total_minor, i.total_minor)
        """,
    )
    await none_of(
        owner,
        """
        SELECT c.tenant_id, c.kind, date(p.period_start), count(DISTINCT (i.net_minor, i.tax_minor))
        FROM copies c
        JOIN subscription_invoices p ON p.tenant_id = c.tenant_id AND p.subscription_id = c.id
        JOIN invoices i ON i.tenant_id = p.tenant_id AND i.id = p.invoice_id
        GROUP BY 1, 2, 3
        HAVING count(DISTINCT (i.net_minor, i.tax_minor)) <> 1
        """,
    )


async def check_redemptions(owner: Owner) -> None:
    """An offer is counted for the periods in which it took something off, and no other."""
    await none_of(
        owner,
        """
        SELECT r.id, r.periods_used, served.periods
        FROM copies c
        JOIN originals o ON o.tenant_id = c.tenant_id AND o.kind = c.kind
        JOIN subscriptions s ON s.tenant_id = c.tenant_id AND s.id = c.id
        JOIN redemptions r ON r.tenant_id = s.tenant_id AND r.id = s.redemption_ids[1]
        CROSS JOIN LATERAL (
            SELECT count(DISTINCT p.invoice_id) AS periods
            FROM subscription_invoices p
            JOIN invoice_lines l ON l.tenant_id = p.tenant_id AND l.invoice_id = p.invoice_id
            WHERE p.tenant_id = s.tenant_id AND p.subscription_id = s.id AND l.discount_minor > 0
        ) served
        WHERE r.periods_used <> (o.redemption).periods_used + served.periods
        """,
    )


async def check_events(owner: Owner) -> None:
    rows = await owner.fetch("SELECT data ->> 'invoice_id' AS id FROM events WHERE type = 'invoice.issued'")
    told = [InvoiceId.parse(row["id"]).bytes for row in rows]
    invoices = [row["id"].bytes for row in await owner.fetch("SELECT id FROM invoices")]
    assert sorted(told) == sorted(invoices)
    renewed = await owner.fetchval("SELECT count(*) FROM events WHERE type = 'subscription.renewed'")
    assert renewed == await owner.fetchval(
        """
        SELECT count(*)
        FROM run r
        JOIN subscription_invoices p ON p.tenant_id = r.tenant_id AND p.invoice_id = r.id
        WHERE p.change_number = 0
        """
    )
