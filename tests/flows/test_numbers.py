"""Numbers have no gap and no duplicate, and dates follow them, however many issue at once and give up."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Coroutine, Iterable
from datetime import timedelta
from typing import Any, TypeAlias, TypeVar

import asyncpg
import httpx
import pytest
from litestar import Litestar
from litestar.di import NamedDependency
from litestar.params import FromPath

from api import clock
from api.app import OPERATIONS, create_app
from api.operations import command
from api.settings import Settings
from billing.invoices import draft
from billing.invoices.model import Invoice, InvoiceId
from kernel.database import Pool, Tx, begin, rollback
from kernel.errors import Conflict
from tests.client import client_for
from tests.flows.backend import Backend, Json, legal_entity, line
from tests.makers import NOON

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

T = TypeVar("T")

MANY = 64


@command("/v1/things/{draft_invoice_id}/issue", scope="invoices:write", status=201)
async def issue_and_refuse(tx: NamedDependency[Tx], draft_invoice_id: FromPath[InvoiceId]) -> Invoice:
    """Issue, number taken and all, and then find a reason not to."""
    await draft.issue_draft(tx, draft_invoice_id)
    raise Conflict("test_refusal", "Not now.")


@pytest.fixture(scope="module")
async def anonymous(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app: Litestar = create_app(settings, operations=[*OPERATIONS, issue_and_refuse])
    async with client_for(app) as client:
        yield client


async def test_many_at_once_of_whom_a_third_give_up(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the requests come from a machine whose clock is a day behind."""
    await backend.open_shop()
    drafts = [await a_draft(backend) for _ in range(MANY)]
    days = itertools.cycle([NOON, NOON - timedelta(days=1)])
    monkeypatch.setattr(clock, "now", lambda: next(days))

    answers = await at_once(
        backend.send("POST", each)
        for each in (path(drafts[n], gives_up=n % 3 == 0, how=n % 2) for n in range(MANY))
    )

    kept = [answer.json() for answer in answers[1::3] + answers[2::3]]
    assert {answer.status_code for answer in answers[1::3] + answers[2::3]} == {201}
    assert {answer.status_code for answer in answers[0::3]} == {201, 409}  # dry runs, refusals
    check_series(kept, "F2026-")
    listed = await everything(backend, "/v1/invoices")
    assert {each["number"] for each in listed} == {each["number"] for each in kept}
    assert len(kept) == 42

    notes = await at_once(
        backend.send(
            "POST",
            f"/v1/invoices/{invoice['id']}/credit_notes{'?dry_run=true' if n % 3 == 0 else ''}",
            {"reason": "duplicate"},
        )
        for n, invoice in enumerate(kept)
    )
    assert {answer.status_code for answer in notes} == {201}
    check_series([answer.json()["credit_note"] for n, answer in enumerate(notes) if n % 3], "A2026-")


async def test_who_comes_second_waits_and_takes_the_number_that_was_given_back(
    backend: Backend, pool: Pool, owner: Owner
) -> None:
    await backend.open_shop()
    first, second = await a_draft(backend), await a_draft(backend)
    async with pool.acquire() as conn:
        tx = await begin(conn, backend.tenant, now=clock.now())
        numbered = await draft.issue_draft(tx, InvoiceId.parse(first["id"]))
        waiting = asyncio.create_task(backend.post(f"/v1/draft_invoices/{second['id']}/issue"))
        await somebody_waits(owner)
        assert not waiting.done()
        await rollback(tx)
    assert (await waiting)["number"] == numbered.number


async def test_each_seller_has_a_series_of_its_own(backend: Backend) -> None:
    await backend.open_shop()
    await backend.post("/v1/legal_entities", legal_entity("other", invoice_number_format="N/{number}"))
    who = await backend.get("/v1/customers/user-42")
    other = {**{name: who[name] for name in ("name", "email", "address")}, "reference": "user-43"}
    await backend.post("/v1/customers", {**other, "legal_entity": "other"})
    drafts = [await a_draft(backend, customer=f"user-{42 + n % 2}") for n in range(12)]

    issued = await at_once(backend.post(f"/v1/draft_invoices/{each['id']}/issue") for each in drafts)

    check_series(issued[0::2], f"F{clock.now().year}-")
    check_series(issued[1::2], "N/")


# ── what the tests share ─────────────────────────────────────────────────────────────────────────


def check_series(documents: list[Json], prefix: str) -> None:
    in_order = sorted(documents, key=lambda document: str(document["number"]))
    assert [document["number"] for document in in_order] == [
        f"{prefix}{n:06d}" for n in range(1, len(documents) + 1)
    ]
    dates = [document["issued_on"] for document in in_order]
    assert dates == sorted(dates)


def path(draft_invoice: Json, *, gives_up: bool, how: int) -> str:
    if gives_up and how:
        return f"/v1/things/{draft_invoice['id']}/issue"
    return f"/v1/draft_invoices/{draft_invoice['id']}/issue{'?dry_run=true' if gives_up else ''}"


async def a_draft(backend: Backend, customer: str = "user-42") -> Json:
    body = {"customer": customer, "currency": "EUR", "lines": [line("10.00")]}
    return await backend.post("/v1/draft_invoices", body)


async def at_once(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    return await asyncio.gather(*calls)


async def everything(backend: Backend, path: str) -> list[Json]:
    return list((await backend.get(path, limit="100"))["data"])


async def somebody_waits(owner: Owner) -> None:
    """Until a connection to this database stands before a lock."""
    async with asyncio.timeout(10):
        while not await owner.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ):
            await asyncio.sleep(0.01)
