"""Declaring an operation of the API: one decorator, one function, no ifs.

    @query("/v1/invoices/{invoice_id}", scope="invoices:read")
    async def get_invoice(tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId]) -> Invoice:
        \"""Read an invoice.\"""
        return await store.get(tx, invoice_id)

    @command("/v1/invoices/{invoice_id}/void", scope="invoices:write")
    async def void_invoice(
        tx: NamedDependency[Tx], invoice_id: FromPath[InvoiceId], data: JSONBody[Voiding]
    ) -> Invoice:
        \"""Void an invoice.\"""
        return await void(tx, invoice_id, data)

and the function's name in a list `ROUTES` at the end of the file, which `api/app.py` collects.

* The name of the function is the operation's id; its docstring is what the documentation says.
* `{invoice_id}` with a typed id answers 404 `invoice_not_found` for whatever is no such id. Where the
  caller's own reference works too, take `FromPath[str]`.
* `@question(…)` is a POST that only asks, with a body: it runs as a query does.
* A command runs in one transaction, committed below 400; idempotency and dry run come by themselves.
  A creation says `status=201`. `secret_fields` are shown once and never stored with the answer.
* A list takes `window: NamedDependency[Window]` and returns `Page[…]`; filters are `FromQuery[…]`.
* Also at hand: `caller: NamedDependency[ApiKey]`, `now: NamedDependency[datetime]` (wall time; what a
  business decides by is `tx.now`).
"""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from litestar import Litestar, delete, get, patch, post
from litestar.handlers import HTTPRouteHandler
from litestar.routes import HTTPRoute
from litestar.types import Scope

from api.access import scopes
from kernel.structs import Value

DRY_RUN = "dry_run"  # every command takes it

Method = Literal["POST", "PATCH", "DELETE"]
Declare = Callable[[Callable[..., Any]], HTTPRouteHandler]

_METHODS = {"GET": get, "POST": post, "PATCH": patch, "DELETE": delete}


class Operation(Value, frozen=True, kw_only=True):
    """What the edge must know of a route before it runs."""

    id: str
    scope: str
    reads: bool
    reads_clock: bool = False
    secret_fields: tuple[str, ...] = ()


def query(path: str, *, scope: str) -> Declare:
    """A GET: it runs in a transaction that cannot write."""
    return _declare("GET", path, scope=scope, status=200, secret_fields=(), reads=True)


def question(path: str, *, scope: str) -> Declare:
    """A POST that asks, and changes nothing: what it asks about is too much for a query string.

    The verb reads the tenant's clock itself, with the rest: that is a round trip less.
    """
    return _declare("POST", path, scope=scope, status=200, secret_fields=(), reads=True)


def command(
    path: str,
    *,
    scope: str,
    status: int = 200,
    method: Method = "POST",
    secret_fields: tuple[str, ...] = (),
) -> Declare:
    return _declare(method, path, scope=scope, status=status, secret_fields=secret_fields, reads=False)


def is_operation(scope: Scope) -> bool:
    return "operation" in scope["route_handler"].opt


def of(scope: Scope) -> Operation:
    operation = scope["route_handler"].opt["operation"]
    assert isinstance(operation, Operation)
    return operation


def takes_body(scope: Scope) -> bool:
    return scope["route_handler"].parsed_data_field is not None


def known_parameters(app: Litestar) -> Mapping[str, Mapping[str, bool]]:
    """By operation: the query parameters it reads, and whether each may come again."""
    return {
        handler.opt["operation"].id: {
            **({} if handler.opt["operation"].reads else {DRY_RUN: False}),
            **{
                parameter.field_alias: parameter.field_name in model.sequence_query_parameter_names
                for parameter in model.expected_query_params
            },
        }
        for handler, model in _handlers(app)
        if "operation" in handler.opt
    }


def _handlers(app: Litestar) -> Iterable[tuple[HTTPRouteHandler, Any]]:
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            yield from route.route_handler_map.values()


def _declare(
    method: str, path: str, *, scope: str, status: int, secret_fields: tuple[str, ...], reads: bool
) -> Declare:
    assert scope in scopes.ALL, f"{scope} is not in api/access/scopes.py"

    def declare(fn: Callable[..., Any]) -> HTTPRouteHandler:
        name = fn.__name__
        summary, _, description = inspect.cleandoc(fn.__doc__ or "").partition("\n")
        operation = Operation(
            id=name,
            scope=scope,
            reads=reads,
            reads_clock=reads and method == "POST",
            secret_fields=secret_fields,
        )
        handler: HTTPRouteHandler = _METHODS[method](
            re.sub(r"\{(\w+)\}", r"{\1:str}", path),
            name=name,
            operation_id=name,
            opt={"operation": operation},
            status_code=status,
            summary=summary.removesuffix("."),
            description=description.strip() or None,
            tags=[path.split("/")[2]],
        )(fn)
        return handler

    return declare
