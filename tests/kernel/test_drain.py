"""Workers that drain the directory: no hint is lost, none piles up, and what goes wrong is tried again.

The directory is shared by all tenants: these tests live in 2001, when no other had work.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias
from uuid import uuid4

import pytest
from aiosmtplib import SMTPRecipientRefused, SMTPRecipientsRefused, SMTPResponseException

from api import consequences, work
from api.consequences import Consequence, Work
from api.due import next_look
from api.house import House
from api.work import Shift, drain, name_of, work_inside
from billing.parties.change_customer import change_customer
from billing.parties.events import CustomerCreated
from billing.parties.model import CustomerChange, CustomerId
from billing.tax.add_tax_rate import add_tax_rate
from kernel import clocks, directory, jobs, outbox
from kernel.database import Pool, Tx, begin, commit, leave_behind, transaction
from kernel.directory import Hint
from kernel.errors import Conflict
from kernel.ids import TenantId
from kernel.jobs import MAX_ATTEMPTS
from kernel.text import Name
from notifications.mailer import Mailer
from subscriptions import store as subscriptions
from tests.gateways import only_the_sandbox
from tests.makers import NOON
from tests.shop import REVERSED, until_it_waits
from tests.subscriptions.plans import signed_up

THEN = datetime(2001, 1, 1, tzinfo=UTC)
TOMORROW = THEN + timedelta(days=1)

Teach: TypeAlias = Callable[[Consequence], None]


def a_house(pool: Pool, now: datetime = THEN) -> House:
    mailer = Mailer("smtp://127.0.0.1:1", "Ristourne <billing@ristourne.example>")
    return House(pool=pool, gateways=only_the_sandbox(pool), mailer=mailer, now=lambda: now)


def a_shift(pool: Pool, now: datetime) -> Shift:
    return Shift(house=a_house(pool, now), ends_at=asyncio.get_running_loop().time() + 30, holder=uuid4())


@pytest.fixture(autouse=True)
async def _nothing_left(pool: Pool) -> AsyncIterator[None]:
    yield
    await pool.execute("DELETE FROM pending_work WHERE due_at < $1", THEN + timedelta(days=366))


@pytest.fixture
def teach(monkeypatch: pytest.MonkeyPatch) -> Teach:
    """What workers do with a job of the kind `work`."""

    def taught(consequence: Consequence) -> None:
        monkeypatch.setitem(consequences.BY_KIND, "work", consequence)

    return taught


async def a_job(pool: Pool, tenant: TenantId, *, due: datetime = THEN) -> None:
    async with transaction(pool, tenant, now=THEN) as tx:
        await jobs.schedule(tx, "work", {}, due=due)
        tx.leaves_work(THEN)


async def hints_of(pool: Pool, tenant: TenantId) -> list[datetime]:
    rows = await pool.fetch("SELECT due_at FROM pending_work WHERE tenant_id = $1 ORDER BY id", tenant)
    return [row["due_at"] for row in rows]


async def states_of(pool: Pool, tenant: TenantId) -> list[tuple[str, int, str | None]]:
    async with transaction(pool, tenant, now=THEN) as tx:
        rows = await tx.conn.fetch("SELECT state, attempt, last_error FROM jobs ORDER BY scheduled_for, id")
        return [tuple(row) for row in rows]


async def taken(pool: Pool) -> Hint:
    hint = await directory.take(pool, now=THEN)
    assert hint is not None
    return hint


# ── No hint is lost ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_hint_is_not_dropped_for_one_whose_holder_has_looked_already(
    pool: Pool, tenant: TenantId
) -> None:
    """It saw nothing to do and is about to drop its own; the work that came since is announced by ours."""
    async with transaction(pool, tenant, now=THEN) as tx:
        tx.leaves_work(THEN)
    first = await taken(pool)
    async with pool.acquire() as conn:
        looking = await begin(conn, tenant, now=THEN)
        await directory.lock(looking)
        assert await next_look(looking) is None

        await a_job(pool, tenant, due=TOMORROW)
        second = asyncio.create_task(drain(a_house(pool)))
        await until_it_waits(pool, second)
        await directory.put_back(looking, first, due=None)
        await commit(looking)

    assert await second == 1
    assert await hints_of(pool, tenant) == [TOMORROW]


async def test_who_was_relied_upon_sees_what_was_left(pool: Pool, tenant: TenantId, teach: Teach) -> None:
    """While one works, another looks, finds work for tomorrow, and drops its hint in favour of the first."""
    async with pool.acquire() as conn:
        other: list[Tx] = []

        async def meanwhile(_: Work) -> None:
            tx = await begin(conn, tenant, now=THEN)
            async with transaction(pool, tenant, now=THEN) as leaving:
                leaving.leaves_work(THEN)
            hint = await taken(pool)
            await directory.lock(tx)
            await jobs.schedule(tx, "work", {}, due=TOMORROW)
            tx.due = None  # a job that an event led to has no hint of its own
            await directory.put_back(tx, hint, due=await next_look(tx))
            other.append(tx)

        teach(meanwhile)
        await a_job(pool, tenant)
        first = asyncio.create_task(drain(a_house(pool)))
        await until_it_waits(pool, first)
        await commit(other[0])

    await first
    assert await hints_of(pool, tenant) == [TOMORROW]


async def test_hints_do_not_pile_up(pool: Pool, tenant: TenantId) -> None:
    house = a_house(pool)
    for n in range(50):
        async with transaction(pool, tenant, now=THEN) as tx:
            outbox.publish(tx, CustomerCreated(customer_id=CustomerId.new()))
            await jobs.schedule(tx, "work", {}, due=TOMORROW + timedelta(hours=n % 7))
        await asyncio.gather(drain(house), drain(house))

    hints = await hints_of(pool, tenant)
    assert TOMORROW in hints
    assert len(hints) <= 2


# ── A shift ends ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_shift_that_is_over_begins_nothing(pool: Pool, tenant: TenantId) -> None:
    await a_job(pool, tenant)

    assert await drain(a_house(pool), seconds=0) == 0
    assert await states_of(pool, tenant) == [("waiting", 0, None)]
    assert await hints_of(pool, tenant) == [THEN]


async def test_what_a_shift_leaves_is_done_by_the_next(
    pool: Pool, tenant: TenantId, teach: Teach, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(work, "LANES", 1)
    teach(lambda _: asyncio.sleep(0.2))
    await a_job(pool, tenant)
    await a_job(pool, tenant)

    assert await drain(a_house(pool), seconds=0.1) == 1
    assert sorted(state for state, *_ in await states_of(pool, tenant)) == ["done", "waiting"]
    assert await hints_of(pool, tenant) == [THEN]

    assert await drain(a_house(pool)) == 1
    assert [state for state, *_ in await states_of(pool, tenant)] == ["done", "done"]
    assert await hints_of(pool, tenant) == []


# ── A tenant with a clock ───────────────────────────────────────────────────────────────────────────────


async def test_whoever_comes_in_while_a_clock_is_held_does_nothing(
    pool: Pool, tenant: TenantId, teach: Teach
) -> None:
    """Three jobs, two of them due at once; in each of them another worker is called to the tenant."""
    house, done, under_way = a_house(pool), [], 0

    async def call_another(work: Work) -> None:
        nonlocal under_way
        under_way += 1
        assert under_way == 1
        async with transaction(pool, tenant, now=THEN) as tx:
            tx.leaves_work(THEN)
        assert await drain(house) == 1
        done.append(work.job.data["name"])
        under_way -= 1

    teach(call_another)
    async with transaction(pool, tenant, now=THEN) as tx:
        await clocks.set_out(tx, start=THEN, to=THEN + timedelta(days=9))
        tx.go_by(THEN)
        for name, days in (("last", 2), ("first", 1), ("second", 1)):
            await jobs.schedule(tx, "work", {"name": name}, due=THEN + timedelta(days=days))
        tx.leaves_work(THEN)
    await drain(house)

    assert done == ["first", "second", "last"]
    assert [state for state, *_ in await states_of(pool, tenant)] == ["done"] * 3


# ── What goes wrong ─────────────────────────────────────────────────────────────────────────────────────


RECIPIENT = SMTPRecipientRefused(550, "<ada@martin.example> has no mailbox here", "ada@martin.example")


@pytest.mark.parametrize(
    ("error", "name"),
    [
        (SMTPRecipientsRefused([RECIPIENT]), "SMTPRecipientsRefused"),
        (RECIPIENT, "SMTPRecipientRefused 550"),
        (SMTPResponseException(451, "ada@martin.example: later"), "SMTPResponseException 451"),
        (Conflict("customer_gone", "Ada Martin is gone."), "Conflict customer_gone"),
        (ValueError("ada@martin.example"), "ValueError"),
    ],
)
async def test_an_error_is_kept_without_what_it_says_of_a_person(
    pool: Pool, tenant: TenantId, teach: Teach, error: Exception, name: str
) -> None:
    async def fails(_: Work) -> None:
        raise error

    teach(fails)
    await a_job(pool, tenant)
    await drain(a_house(pool))

    assert name_of(error) == name
    assert await states_of(pool, tenant) == [("waiting", 1, name)]


@pytest.mark.parametrize(
    ("slow", "becomes"),
    [(frozenset({"work"}), ("done", 1, None)), (frozenset(), ("waiting", 1, "TimeoutError"))],
)
async def test_a_slow_job_has_its_time_and_keeps_its_lease(
    pool: Pool,
    tenant: TenantId,
    teach: Teach,
    monkeypatch: pytest.MonkeyPatch,
    slow: frozenset[str],
    becomes: tuple[str, int, str | None],
) -> None:
    kept = []

    async def keep(_: Tx, job: jobs.Job) -> None:
        kept.append(job.kind)

    monkeypatch.setattr(work, "SLOW", slow)
    monkeypatch.setattr(work, "JOB_SECONDS", 0.1)
    monkeypatch.setattr(work, "KEEP_SECONDS", 0.02)
    monkeypatch.setattr(jobs, "keep", keep)
    teach(lambda _: asyncio.sleep(0.4))
    await a_job(pool, tenant)
    await drain(a_house(pool))

    assert await states_of(pool, tenant) == [becomes]
    assert set(kept) == slow


async def test_a_job_that_is_given_up_is_told_and_may_be_revived(
    pool: Pool, tenant: TenantId, teach: Teach
) -> None:
    async def fails(_: Work) -> None:
        raise TimeoutError

    teach(fails)
    await a_job(pool, tenant)
    async with transaction(pool, tenant, now=THEN) as tx:
        await tx.conn.execute("UPDATE jobs SET attempt = $1", MAX_ATTEMPTS - 1)
    await drain(a_house(pool))

    async with transaction(pool, tenant, now=THEN) as tx:
        (parked,) = await jobs.parked(tx)
        (event,) = await events_of(tx, "job.parked")
        assert parked.last_error == "TimeoutError"
        assert event == {
            "type": "job.parked",
            "job_id": str(parked.id),
            "kind": "work",
            "error": "TimeoutError",
        }
        assert await jobs.revive(tx, parked.id)
        assert not await jobs.revive(tx, parked.id)
    teach(lambda _: asyncio.sleep(0))
    await drain(a_house(pool))
    assert await states_of(pool, tenant) == [("done", 1, None)]


async def test_a_renewal_that_is_refused_is_tried_again(pool: Pool, tenant: TenantId) -> None:
    """Once its reason is mended, the period is billed."""
    async with transaction(pool, tenant, now=NOON) as tx:
        signup = await signed_up(tx)
        await leave_behind(tx)
        await tx.conn.execute("UPDATE events SET state = 'dispatched'")
    due = signup.subscription.current_period.end

    async with transaction(pool, tenant, now=NOON) as tx:
        await add_tax_rate(tx, REVERSED)
        await change_customer(tx, "user-77", CustomerChange(tax_rate="reverse"))
    await work_inside(a_shift(pool, due), tenant)
    async with transaction(pool, tenant, now=due) as tx:
        retry = await next_look(tx)
        assert retry == due + timedelta(hours=1)

    async with transaction(pool, tenant, now=NOON) as tx:
        await change_customer(tx, "user-77", CustomerChange(vat_number=Name("FR83404833048")))
    await work_inside(a_shift(pool, retry), tenant)
    async with transaction(pool, tenant, now=NOON) as tx:
        assert (await subscriptions.get(tx, signup.subscription.id)).period_number == 1


async def events_of(tx: Tx, kind: str) -> list[dict[str, object]]:
    rows = await tx.conn.fetch("SELECT data FROM events WHERE type = $1", kind)
    return [row["data"] for row in rows]


@pytest.mark.parametrize(
    ("age", "wait"),
    [
        (timedelta(0), timedelta(seconds=2)),
        (timedelta(hours=-1), timedelta(seconds=2)),  # where a test holds the clock
        (timedelta(minutes=4), timedelta(minutes=1)),
        (timedelta(days=9), timedelta(hours=6)),
    ],
)
async def test_what_a_provider_takes_long_to_decide_is_asked_for_ever_more_rarely(
    age: timedelta, wait: timedelta
) -> None:
    assert consequences.patience(age) == wait
