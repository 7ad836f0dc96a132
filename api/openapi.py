"""The description of the API, complete and true, as OpenAPI 3.1.

Litestar describes what it can see: paths, types, bodies. What stands around every operation is added
here: the key it needs, the headers a command takes, the problem it may answer.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any

import msgspec
from litestar import Litestar
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from api import problems
from api.operations import DRY_RUN, Operation
from api.scalars import TYPE_DECODERS, is_scalar
from kernel.structs import decode

Json = dict[str, Any]

DESCRIPTION = """
Subscription billing for SaaS products: plans, offers, invoices, credit notes, refunds.

* Every request carries an API key: `Authorization: Bearer rk_live_…` or `rk_test_…`. `x-scope` says
  which scope an operation needs.
* Every command takes an `Idempotency-Key`, and `?dry_run=true` to see what it would do.
* Amounts are integers in minor units: 29.00 EUR is `{"minor": 2900, "currency": "EUR"}`.
* A refusal is a problem (RFC 9457) whose `code` is [listed here](/docs/problems).
"""

SHARED: Json = {
    "securitySchemes": {
        "api_key": {
            "type": "http",
            "scheme": "bearer",
            "bearerFormat": "rk_live_… or rk_test_…",
        }
    },
    "parameters": {
        "DryRun": {
            "name": DRY_RUN,
            "in": "query",
            "description": "Do the real thing, answer it, and undo it. The header `Quote` signs the answer.",
            "schema": {"type": "boolean", "default": False},
        },
        "IdempotencyKey": {
            "name": "Idempotency-Key",
            "in": "header",
            "description": "Your name for this attempt, kept 30 days: a second one gets the first answer.",
            "schema": {"type": "string", "pattern": "^[!-~]([ -~]{0,253}[!-~])?$"},
        },
        "IfQuote": {
            "name": "If-Quote",
            "in": "header",
            "description": "The `Quote` of a dry run: do exactly that, or answer 412 `quote_stale`.",
            "schema": {"type": "string"},
        },
    },
    "headers": {
        "RequestId": {"description": "How we call this request.", "schema": {"type": "string"}},
        "IdempotentReplayed": {
            "description": "`true` when this is the answer of an earlier attempt.",
            "schema": {"type": "string", "enum": ["true"]},
        },
        "Quote": {
            "description": "After a dry run: good for 15 minutes, as If-Quote.",
            "schema": {"type": "string"},
        },
    },
    "responses": {
        "Problem": {
            "description": "A problem. Its `code` says which.",
            "headers": {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}},
            "content": {problems.MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    },
    "schemas": {
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail", "code", "param", "request_id"],
            "properties": {
                "type": {"type": "string", "format": "uri-reference"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string"},
                "code": {"type": "string", "examples": ["invoice_not_found"]},
                "param": {"type": ["string", "null"], "examples": ["lines[0].quantity"]},
                "request_id": {"type": "string"},
            },
        }
    },
}
# Litestar calls the page of a list `Page_api.access.model.ApiKey_`.
_PAGE = re.compile(r"Page_(?:\w+\.)*(\w+)_\b")
_COMMAND_PARAMETERS = [{"$ref": f"#/components/parameters/{name}"} for name in SHARED["parameters"]]


class Scalars(OpenAPISchemaPlugin):
    """Our own kinds of text say themselves what they look like."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        return is_scalar(value)

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:  # noqa: ARG002 (the framework's)
        said = field_definition.annotation.schema
        return Schema(
            type=OpenAPIType.STRING,
            format=said.get("format"),
            pattern=said.get("pattern"),
            enum=said.get("enum"),
            examples=said.get("examples"),
            description=said.get("description"),
            min_length=said.get("minLength"),
            max_length=said.get("maxLength"),
        )


def document(
    handlers: Sequence[HTTPRouteHandler], dependencies: Mapping[str, Provide], base_url: str
) -> Json:
    described = _described(handlers, dependencies)
    operations = {handler.opt["operation"].id: handler for handler in handlers if "operation" in handler.opt}
    paths = {
        path: {
            method: _operation(written, operations[written["operationId"]])
            for method, written in item.items()
        }
        for path, item in sorted(described["paths"].items())
    }
    schemas = {**described.get("components", {}).get("schemas", {}), **SHARED["schemas"]}
    _close(schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ristourne",
            "version": version("ristourne"),
            "description": DESCRIPTION.strip(),
        },
        "servers": [{"url": base_url}],
        "security": [{"api_key": []}],
        "paths": paths,
        "components": {**SHARED, "schemas": dict(sorted(schemas.items()))},
    }


def _described(handlers: Sequence[HTTPRouteHandler], dependencies: Mapping[str, Provide]) -> Json:
    """What Litestar sees. Its own pages of documentation are not wanted, so this app serves nobody."""
    app = Litestar(
        handlers,
        dependencies=dict(dependencies),
        type_decoders=TYPE_DECODERS,
        plugins=[Scalars()],
        openapi_config=OpenAPIConfig(title="", version=""),
        logging_config=None,
    )
    text = msgspec.json.encode(app.openapi_schema.to_schema()).decode()
    described: Json = msgspec.json.decode(_PAGE.sub(r"\1Page", text))
    return described


def _operation(written: Json, handler: HTTPRouteHandler) -> Json:
    operation: Operation = handler.opt["operation"]
    succeeds = str(handler.status_code)
    parameters = [_parameter(parameter) for parameter in written.get("parameters", ())]
    changed: Json = {
        **written,
        "x-scope": operation.scope,
        "x-idempotent": not operation.reads,
        "parameters": parameters if operation.reads else [*parameters, *_COMMAND_PARAMETERS],
        "responses": {
            succeeds: {
                **written["responses"][succeeds],
                "description": "As asked.",
                "headers": _headers(operation),
            },
            "4XX": {"$ref": "#/components/responses/Problem"},
            "5XX": {"$ref": "#/components/responses/Problem"},
        },
    }
    if "requestBody" in written:
        changed["requestBody"] = {**written["requestBody"], "required": _needs_body(handler)}
    return changed


def _parameter(parameter: Json) -> Json:
    said = {name: value for name, value in parameter.items() if value is not False}
    said["schema"] = _without_null(parameter["schema"])
    if parameter["name"].endswith("_id"):
        said["x-resource"] = parameter["name"].removesuffix("_id")
    return said


def _without_null(schema: Json) -> Json:
    """What is left out of a query is not null in it."""
    choices = [choice for choice in schema.get("oneOf", ()) if choice != {"type": "null"}]
    if len(choices) != 1:
        return schema
    return {**{name: value for name, value in schema.items() if name != "oneOf"}, **choices[0]}


def _headers(operation: Operation) -> Json:
    headers = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    if not operation.reads:
        headers["Idempotent-Replayed"] = {"$ref": "#/components/headers/IdempotentReplayed"}
        headers["Quote"] = {"$ref": "#/components/headers/Quote"}
    return headers


def _needs_body(handler: HTTPRouteHandler) -> bool:
    field = handler.parsed_data_field
    assert field is not None, "an operation with a body takes data"
    try:
        decode(b"{}", field.annotation)
    except msgspec.ValidationError:
        return True
    return False


def _close(schemas: Json) -> None:
    """What refuses unknown fields says so."""
    closed = {
        kind.__name__ for kind in _kinds(msgspec.Struct) if kind.__struct_config__.forbid_unknown_fields
    }
    for schema in schemas.values():
        if schema.get("title") in closed:
            schema["additionalProperties"] = False


def _kinds(kind: type[msgspec.Struct]) -> Iterator[type[msgspec.Struct]]:
    for below in kind.__subclasses__():
        yield below
        yield from _kinds(below)
