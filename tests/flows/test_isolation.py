"""What belongs to another tenant is answered as what never was: generated from the API's description."""

import re
from typing import Any

import httpx
import pytest
from litestar import Litestar

from kernel.ids import KINDS
from tests.flows.backend import Backend, Json
from tests.flows.conftest import OpenTenant, Time
from tests.flows.world import REFERENCES, Operation, World, a_world, operations_of, places_of, put


class Two:
    """Two tenants with one of everything each. Their references differ, but for the prefix."""

    def __init__(self, mine: Backend, my: World, other: Backend, others: World) -> None:
        self.mine, self.my, self.other, self.others = mine, my, other, others


@pytest.fixture
async def two(open_tenant: OpenTenant, time: Time) -> Two:
    mine, other = await open_tenant(), await open_tenant()
    return Two(mine, await a_world(mine, time), other, await a_world(other, time, prefix="other-"))


async def test_every_id_in_a_path_says_of_what(document: Json) -> None:
    for operation in operations_of(document):
        named = {name for name, place, _ in operation.ids if place == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", operation.path)), operation.path


async def test_every_resource_there_is_is_tried(two: Two, document: Json) -> None:
    resources = {resource for operation in operations_of(document) for _, _, resource in operation.ids}
    assert resources <= two.others.keys(), "make one of the new kind in tests/flows/world.py"


async def test_what_is_tried_works_for_its_owner(two: Two, document: Json) -> None:
    """Otherwise every refusal below would prove nothing."""
    for operation in operations_of(document):
        dry_run = {"dry_run": "true"} if operation.is_command else {}
        query = {name: two.others[resource] for name, place, resource in operation.ids if place == "query"}
        answer = await two.other.http.request(
            operation.method,
            operation.path_in(two.others),
            params={**query, **dry_run},
            json=operation.body(two.others),
        )
        assert answer.status_code < 400, f"{operation.id}: {answer.text}"


async def test_an_id_of_another_tenant_is_an_id_that_never_was(two: Two, document: Json) -> None:
    tried = 0
    for operation in operations_of(document):
        for parameter in operation.ids:
            for theirs, nobodys in pairs(parameter[2], two):
                answers = [await _sent(two, operation, parameter, value) for value in (theirs, nobodys)]
                check_alike(operation.id, answers, theirs, nobodys)
                tried += 1
    assert tried >= 40


async def test_a_body_that_names_what_another_tenant_has(two: Two, document: Json) -> None:
    tried = 0
    for operation in operations_of(document):
        body = operation.body(two.my)
        for way, resource in places_of(body):
            assert body is not None
            for theirs, nobodys in pairs(resource, two):
                answers = [
                    await two.mine.send(operation.method, operation.path_in(two.my), put(body, way, value))
                    for value in (theirs, nobodys)
                ]
                assert answers[0].status_code in (404, 409), f"{operation.id} {way}: {answers[0].text}"
                check_alike(operation.id, answers, theirs, nobodys)
                tried += 1
    assert tried >= 20


async def test_no_list_shows_what_another_tenant_has(two: Two, document: Json) -> None:
    theirs = set(two.others.values())
    for operation in operations_of(document):
        if operation.id.startswith("list_"):
            shown = (await two.mine.get(operation.path, limit="100"))["data"]
            assert shown, f"{operation.id} shows nothing at all"
            assert theirs.isdisjoint(re.findall(r"[a-z]+_[0-9a-z]{26}", str(shown)))


async def test_nothing_of_the_other_tenant_has_changed(two: Two, document: Json, owner: Any) -> None:
    """Every command was sent with the other's ids: their rows are as they were."""
    before = await _rows(owner, two.other)
    for operation in operations_of(document):
        if operation.is_command:
            await two.mine.send(operation.method, operation.path_in(two.others), operation.body(two.others))
    assert await _rows(owner, two.other) == before


# ── what the tests share ─────────────────────────────────────────────────────────────────────────


def pairs(resource: str, two: Two) -> list[tuple[str, str]]:
    """What the other tenant has, and what nobody has: by id, and by reference where that works."""
    theirs = two.others[resource]
    by_id = (theirs, str(KINDS[theirs.partition("_")[0]].new()))
    if resource not in REFERENCES:
        return [by_id]
    return [by_id, (f"other-{REFERENCES[resource]}", f"never-{REFERENCES[resource]}")]


async def _sent(
    two: Two, operation: Operation, parameter: tuple[str, str, str], value: str
) -> httpx.Response:
    name, place, resource = parameter
    asked = {resource: value, f"{operation.id}.{resource}": value} if place == "path" else {}
    path = operation.path_in({**two.my, **asked})
    query = {name: value} if place == "query" else {}
    return await two.mine.http.request(operation.method, path, params=query, json=operation.body(two.my))


def check_alike(what: str, answers: list[httpx.Response], theirs: str, nobodys: str) -> None:
    """Status, headers and body, but for the name of the request and the id that the sentence repeats."""
    (status, headers, body), other = (
        _settled(answer, asked) for answer, asked in zip(answers, (theirs, nobodys), strict=True)
    )
    assert (status, headers, body) == other, what
    assert status in (200, 404, 409), f"{what}: {body}"
    assert status != 200 or '"data":[]' in body, f"{what}: {body}"


def _settled(answer: httpx.Response, asked: str) -> tuple[int, dict[str, str], str]:
    headers = {
        name: value
        for name, value in answer.headers.items()
        if name not in ("x-request-id", "content-length")
    }
    body = answer.text.replace(answer.headers["x-request-id"], "request").replace(asked, "asked")
    return answer.status_code, headers, body


async def _rows(owner: Any, backend: Backend) -> dict[str, str]:
    tables = await owner.fetch(
        """
        SELECT table_name
        FROM information_schema.columns
        WHERE table_schema = 'public' AND column_name = 'tenant_id' AND table_name <> 'pending_work'
        """
    )
    return {
        row["table_name"]: await owner.fetchval(
            f"""
            SELECT md5(string_agg((to_jsonb(t) - 'last_used_at')::text, ' ' ORDER BY to_jsonb(t)::text))
            FROM {row["table_name"]} t
            WHERE tenant_id = $1
            """,
            backend.tenant,
        )
        for row in tables
    }


@pytest.fixture
async def document(anonymous: httpx.AsyncClient, app: Litestar) -> Json:
    said: Json = (await anonymous.get("/openapi.json")).json()
    return said
