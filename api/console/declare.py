"""Declaring a page of the console: one decorator, one function.

    @page("/console/{tenant_id}/customers")
    async def list_customers(tx: NamedDependency[Tx], window: …, here: NamedDependency[Here]) -> Template:

    @act("/console/{tenant_id}/keys/{api_key_id}/revoke")
    async def revoke(tx: NamedDependency[Tx], here: NamedDependency[Here], form: NamedDependency[Form]) -> …:

A page reads, an act changes something and answers 303. With `{tenant_id}` in its path it runs in a
transaction of that tenant, which the admin's accounts must own; a page's cannot write, an act's is
committed when the answer is below 400. Without, it has a signed-in admin and `doors`, whose pool it may
use; `open_to_all` has no admin either.
"""

import re
from collections.abc import Callable
from enum import Enum, auto
from typing import Any

from litestar import get, post
from litestar.handlers import HTTPRouteHandler
from litestar.types import Scope

from kernel.structs import Value

Declare = Callable[[Callable[..., Any]], HTTPRouteHandler]


class Reach(Enum):
    """Who may come, and to what."""

    EVERYBODY = auto()
    ADMIN = auto()
    TENANT = auto()


class Declared(Value, frozen=True, kw_only=True):
    reach: Reach
    acts: bool


def page(path: str, *, open_to_all: bool = False) -> Declare:
    return _declare(path, acts=False, open_to_all=open_to_all)


def act(path: str, *, open_to_all: bool = False) -> Declare:
    return _declare(path, acts=True, open_to_all=open_to_all)


def is_declared(scope: Scope) -> bool:
    return "console" in scope["route_handler"].opt


def of(scope: Scope) -> Declared:
    declared = scope["route_handler"].opt["console"]
    assert isinstance(declared, Declared)
    return declared


def _declare(path: str, *, acts: bool, open_to_all: bool) -> Declare:
    signed_in = Reach.TENANT if "{tenant_id}" in path else Reach.ADMIN
    declared = Declared(reach=Reach.EVERYBODY if open_to_all else signed_in, acts=acts)

    def declare(fn: Callable[..., Any]) -> HTTPRouteHandler:
        method = post if acts else get
        handler: HTTPRouteHandler = method(
            re.sub(r"\{(\w+)\}", r"{\1:str}", path),
            opt={"console": declared},
            status_code=303 if acts else 200,
            include_in_schema=False,
        )(fn)
        return handler

    return declare
