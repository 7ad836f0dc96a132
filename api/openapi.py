"""The description of the API, complete and true, as OpenAPI 3.1.

Litestar describes paths and parameters, `api/schemas.py` the bodies. What stands around every operation
is added here: the key it needs, the headers a command takes, the problem it may answer.
"""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from importlib.metadata import version
from typing import Any, get_origin

import msgspec
from litestar import Litestar, Response
from litestar.di import Provide
from litestar.handlers import HTTPRouteHandler
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.plugins import OpenAPISchemaPlugin
from litestar.typing import FieldDefinition

from api import problems
from api.examples import EXAMPLES
from api.operations import DRY_RUN, Operation
from api.scalars import TYPE_DECODERS, is_scalar
from api.schemas import Schemas
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
}
_COMMAND_PARAMETERS = [{"$ref": f"#/components/parameters/{name}"} for name in SHARED["parameters"]]


class Bare(OpenAPISchemaPlugin):
    """Scalars say themselves what they look like, enums are their words. Structs are described elsewhere."""

    @staticmethod
    def is_plugin_supported_type(value: Any) -> bool:
        kind = get_origin(value) or value
        return is_scalar(kind) or (isinstance(kind, type) and issubclass(kind, msgspec.Struct | StrEnum))

    def to_openapi_schema(self, field_definition: FieldDefinition, schema_creator: Any) -> Schema:  # noqa: ARG002 (the framework's)
        kind = field_definition.annotation
        if isinstance(kind, type) and issubclass(kind, StrEnum):
            return Schema(type=OpenAPIType.STRING, enum=sorted(kind))
        said = getattr(kind, "schema", {})
        return Schema(
            type=said.get("type"),
            format=said.get("format"),
            pattern=said.get("pattern"),
            enum=said.get("enum"),
            examples=said.get("examples"),
            description=said.get("description"),
            min_length=said.get("minLength"),
            max_length=said.get("maxLength"),
        )


def document(handlers: Sequence[HTTPRouteHandler], dependencies: Mapping[str, Provide]) -> Json:
    operations = {handler.opt["operation"].id: handler for handler in handlers}
    schemas = Schemas()
    schemas.of(problems.Problem)
    paths = {
        path: {
            method: _operation(written, operations[written["operationId"]], schemas)
            for method, written in item.items()
        }
        for path, item in sorted(_described(handlers, dependencies)["paths"].items())
    }
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ristourne",
            "version": version("ristourne"),
            "description": DESCRIPTION.strip(),
        },
        "servers": [{"url": "/"}],
        "security": [{"api_key": []}],
        "paths": paths,
        "components": {**SHARED, "schemas": dict(sorted(schemas.components.items()))},
    }


def _described(handlers: Sequence[HTTPRouteHandler], dependencies: Mapping[str, Provide]) -> Json:
    """What Litestar sees. Its own pages of documentation are not wanted, so this app serves nobody."""
    app = Litestar(
        handlers,
        dependencies=dict(dependencies),
        type_decoders=TYPE_DECODERS,
        plugins=[Bare()],
        openapi_config=OpenAPIConfig(title="", version=""),
        logging_config=None,
    )
    return app.openapi_schema.to_schema()


def _operation(written: Json, handler: HTTPRouteHandler, schemas: Schemas) -> Json:
    operation: Operation = handler.opt["operation"]
    parameters = [_parameter(parameter) for parameter in written.get("parameters", ())]
    said = {
        "operationId": operation.id,
        "tags": written["tags"],
        "summary": written["summary"],
        "description": written.get("description", ""),
        "x-scope": operation.scope,
        "x-idempotent": not operation.reads,
        "parameters": parameters if operation.reads else [*parameters, *_COMMAND_PARAMETERS],
        "responses": {
            str(handler.status_code): _answer(written, handler, schemas),
            "4XX": {"$ref": "#/components/responses/Problem"},
            "5XX": {"$ref": "#/components/responses/Problem"},
        },
    }
    if handler.parsed_data_field is not None:
        said["requestBody"] = _body(operation.id, handler.parsed_data_field.annotation, schemas)
    return said


def _answer(written: Json, handler: HTTPRouteHandler, schemas: Schemas) -> Json:
    returned = handler.parsed_return_field
    if returned.is_subclass_of(Response):
        content = written["responses"][str(handler.status_code)]["content"]
    else:
        content = {"application/json": {"schema": schemas.of(returned.annotation)}}
    return {"description": "As asked.", "headers": _headers(handler.opt["operation"]), "content": content}


def _body(operation_id: str, kind: Any, schemas: Schemas) -> Json:
    described: Json = {"schema": schemas.of(kind)}
    if operation_id in EXAMPLES:
        described["example"] = EXAMPLES[operation_id]
    return {"required": _must_be_said(kind), "content": {"application/json": described}}


def _must_be_said(kind: Any) -> bool:
    try:
        decode(b"{}", kind)
    except msgspec.ValidationError:
        return True
    return False


def _parameter(parameter: Json) -> Json:
    said = {name: value for name, value in parameter.items() if value is not False}
    said["schema"] = _without_null(parameter["schema"])
    if parameter["in"] == "path" or parameter["name"].endswith("_id"):
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
