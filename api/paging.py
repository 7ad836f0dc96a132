"""Which page of a list is asked for, from `limit` and `cursor` in the query."""

from typing import Annotated

from litestar.params import FromQuery, QueryParameter

from kernel import paging
from kernel.paging import Window

MAX_LIMIT = 100


async def window(
    limit: Annotated[
        int,
        QueryParameter(ge=1, le=MAX_LIMIT, description="How many to return, at most."),
    ] = 20,
    cursor: FromQuery[str | None] = None,
) -> Window:
    """A dependency: a list takes `window: NamedDependency[Window]`."""
    return paging.window(limit, cursor)
