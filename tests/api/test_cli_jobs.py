"""`ristourne jobs …` from a shell: what was given up is seen, and tried again."""

from datetime import UTC, datetime

from api.access.create_tenant import Opened
from api.settings import Settings
from kernel import jobs
from kernel.database import Pool, transaction
from tests.api.test_cli_keys import ristourne
from tests.servers import Database

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


async def test_a_parked_job_is_listed_and_tried_again(
    settings: Settings, database: Database, pool: Pool, opened: Opened
) -> None:
    tenant = opened.test.id
    async with transaction(pool, tenant, now=LONG_AGO) as tx:
        job_id = await jobs.schedule(tx, "renew_subscription", {}, due=LONG_AGO)
        await tx.conn.execute(
            "UPDATE jobs SET state = 'parked', last_error = 'Conflict price_missing' WHERE id = $1", job_id
        )

    code, said = await ristourne(settings, database, "jobs", "list")
    assert code == 0
    assert f"{job_id}  {tenant}  renew_subscription: Conflict price_missing" in said

    code, said = await ristourne(settings, database, "jobs", "retry", "--tenant", str(tenant), str(job_id))
    assert (code, said.strip()) == (0, f"{job_id} is tried again.")
    async with transaction(pool, tenant, now=datetime.now(UTC)) as tx:
        assert await jobs.parked(tx) == []
        claimed = await jobs.claim(tx)
    assert claimed is not None
    assert (claimed.id, claimed.attempt) == (job_id, 1)

    code, said = await ristourne(settings, database, "jobs", "retry", "--tenant", str(tenant), str(job_id))
    assert code == 1
    assert "There is no parked job" in said
