"""A test tenant's own time."""

from litestar.di import NamedDependency
from litestar.params import JSONBody

from api import clockwork
from api.clockwork import Advance, TenantClock
from api.operations import command, query
from kernel.database import Tx


@query("/v1/test_clock", scope="test_clock:read")
async def get_test_clock(tx: NamedDependency[Tx]) -> TenantClock:
    """Read what time it is for a test tenant.

    Until its clock is first advanced, a test tenant goes by real time.
    """
    return await clockwork.tenant_clock(tx)


@command("/v1/test_clock/advance", scope="test_clock:write", status=202)
async def advance_test_clock(tx: NamedDependency[Tx], data: JSONBody[Advance]) -> TenantClock:
    """Advance the clock of a test tenant.

    Everything that falls due until then happens in its order, at its time, by the same code as in real time:
    renewals, ends of trials, cancellations, deferred refunds. A worker does it: read the clock until it is
    `ready`, or wait for the event `test_clock.advanced`. Afterwards the clock stands still.

    The first advance begins now, or at `starts_at` where the tenant has no customer yet: a past to look at.
    """
    return await clockwork.advance(tx, data)


ROUTES = [get_test_clock, advance_test_clock]
