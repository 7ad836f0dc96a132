"""The front of the console: which account, which product, live or test."""

from itertools import groupby

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import Template

from api.console.access.model import Place
from api.console.declare import page
from api.console.here import Here
from api.console.pages.answers import see_other
from api.console.views import show


@page("/console")
async def choose(here: NamedDependency[Here]) -> Template:
    accounts = [
        (name, [list(modes) for _, modes in groupby(places, key=_product)])
        for (name, _), places in groupby(here.places, key=_account)
    ]
    return show(here, "choose.html", accounts=accounts)


@page("/console/{tenant_id}")
async def enter(tenant_id: FromPath[str], here: NamedDependency[Here]) -> Response[bytes]:  # noqa: ARG001 (the route has it)
    return see_other(here.to("keys"))


def _account(place: Place) -> tuple[str, str]:
    return place.account, str(place.account_id)


def _product(place: Place) -> str:
    return place.product


ROUTES = [choose, enter]
