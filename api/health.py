"""For load balancers and supervisors: does it live, may it serve?"""

from litestar import Response, get
from litestar.datastructures import State

from api import readiness
from api.readiness import PATIENCE_SECONDS, Check
from kernel.database import Pool
from kernel.structs import Value


class Health(Value, frozen=True, kw_only=True):
    status: str
    checks: list[Check] = []


@get("/healthz", include_in_schema=False)
async def healthz() -> Health:
    """The process answers."""
    return Health(status="ok")


@get("/readyz", include_in_schema=False)
async def readyz(state: State) -> Response[Health]:
    """The database is there, migrated, durable and safe; if not, the answer says what is wrong."""
    pool: Pool = state.pool
    async with pool.acquire(timeout=PATIENCE_SECONDS) as conn:
        checks = await readiness.of_database(conn)
    ready = readiness.is_ready(checks)
    return Response(
        Health(status="ready" if ready else "not ready", checks=checks), status_code=200 if ready else 503
    )
