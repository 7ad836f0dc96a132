"""The description of the API is valid, complete and true."""

import re
from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from litestar import Litestar
from msgspec import inspect
from openapi_spec_validator import OpenAPIV31SpecValidator

from api.access.scopes import ALL
from api.app import OPERATIONS
from tests.flows.world import QUESTIONS

Json = dict[str, Any]


@pytest.fixture(scope="session")
async def document(anonymous: httpx.AsyncClient) -> Json:
    answer = await anonymous.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    described: Json = answer.json()
    return described


def operations(document: Json) -> list[tuple[str, str, Json]]:
    return [
        (path, method, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]


def test_it_is_valid_openapi_31(document: Json) -> None:

    errors = [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()]
    assert errors == []


def test_every_operation_is_in_it(document: Json, app: Litestar) -> None:
    written = {operation["operationId"] for _, _, operation in operations(document)}
    served = {
        handler.opt["operation"].id
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if "operation" in handler.opt
    }
    assert written == served == {handler.opt["operation"].id for handler in OPERATIONS}


def test_every_operation_says_its_scope_and_what_it_does(document: Json) -> None:
    for path, _, operation in operations(document):
        assert operation["x-scope"] in ALL, path
        assert operation["summary"], path
        assert operation["tags"], path


def test_every_command_takes_what_commands_take(document: Json) -> None:
    for path, method, operation in operations(document):
        references = [parameter.get("$ref", "") for parameter in operation["parameters"]]
        commands = [reference.rpartition("/")[2] for reference in references if reference]
        assert operation["x-idempotent"] == (method != "get" and operation["operationId"] not in QUESTIONS), (
            path
        )
        takes = ["DryRun", "IdempotencyKey", "IfQuote"] if operation["x-idempotent"] else []
        assert commands == takes, path


def test_every_id_says_of_what(document: Json) -> None:
    for path, _, operation in operations(document):
        named = {p["name"]: p for p in operation["parameters"] if "name" in p}
        for name in re.findall(r"\{(\w+)\}", path):
            assert named[name]["in"] == "path"
            assert named[name]["x-resource"] == name.removesuffix("_id")


def test_every_operation_answers_problems_as_problems(document: Json) -> None:
    for path, _, operation in operations(document):
        assert operation["responses"]["4XX"] == {"$ref": "#/components/responses/Problem"}, path
        assert len([status for status in operation["responses"] if status.startswith("2")]) == 1, path


def test_what_refuses_unknown_fields_says_so(document: Json) -> None:
    schemas = document["components"]["schemas"]
    assert schemas["NewApiKey"]["additionalProperties"] is False
    assert "additionalProperties" not in schemas["ApiKey"]
    assert schemas["NewApiKey"]["required"] == ["name", "scopes"]


def test_every_time_that_is_read_has_a_zone() -> None:
    """A time without one would be taken for UTC by some and for local time by others."""
    inputs = {handler.parsed_data_field.annotation for handler in OPERATIONS if handler.parsed_data_field}
    naive = [
        f"{info.cls.__name__}.{field.name}"
        for info in structs_of(inputs)
        for field in info.fields
        for kind in getattr(field.type, "types", (field.type,))
        if isinstance(kind, inspect.DateTimeType) and kind.tz is not True
    ]
    assert naive == []


def structs_of(kinds: Iterable[Any]) -> list[inspect.StructType]:
    found: list[inspect.StructType] = []
    left: list[Any] = list(inspect.multi_type_info(kinds))
    while left:
        info = left.pop()
        if isinstance(info, inspect.StructType) and info not in found:
            found.append(info)
            left += [field.type for field in info.fields]
        left += [getattr(info, name) for name in ("type", "item_type", "value_type") if hasattr(info, name)]
        left += getattr(info, "types", ())
    return found


async def test_the_key_that_is_described_is_the_key_that_is_made(
    document: Json, client: httpx.AsyncClient
) -> None:
    created = await client.post("/v1/api_keys", json={"name": "x", "scopes": ["events:read"]})
    schema = document["components"]["schemas"]["CreatedApiKey"]
    assert set(created.json()) == set(schema["properties"])
    assert re.search(schema["properties"]["id"]["pattern"], created.json()["id"])


async def test_the_page_needs_nothing_from_elsewhere(anonymous: httpx.AsyncClient) -> None:
    page = await anonymous.get("/docs")
    assert page.status_code == 200
    assert "default-src 'self'" in page.headers["content-security-policy"]
    for address in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        assert address.startswith("/docs/assets/")
        assert (await anonymous.get(address)).status_code == 200
    missing = await anonymous.get("/docs/assets/LICENSE.txt")
    assert (missing.status_code, missing.json()["code"]) == (404, "route_not_found")


async def test_the_type_of_a_problem_leads_to_its_line(anonymous: httpx.AsyncClient) -> None:
    problem = (await anonymous.get("/v1/api_keys")).json()
    path, _, anchor = problem["type"].partition("#")
    assert f'id="{anchor}"' in (await anonymous.get(path)).text
