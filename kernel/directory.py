"""The directory of pending work: which tenant has something to do, and when.

Its rows are hints, written without a tenant in sight of row level security and without personal data.
A worker takes one (the others of the same tenant that are due go with it), works inside the tenant, and
puts the next due time back. A worker that dies leaves the hint, which comes up again when its lease ends.
"""

from datetime import datetime, timedelta

from kernel.database import Pool, Tx
from kernel.ids import TenantId
from kernel.structs import Value, load

LEASE = timedelta(seconds=15)


class Hint(Value, frozen=True, kw_only=True):
    id: int
    tenant_id: TenantId


async def take(pool: Pool, *, now: datetime) -> Hint | None:
    """A tenant with work that is due. `now` is wall clock time, also for test tenants."""
    row = await pool.fetchrow(
        """
        WITH due AS (
            SELECT id
            FROM pending_work
            WHERE due_at <= $1
            ORDER BY due_at, id
            LIMIT 1
            FOR UPDATE SKIP LOCKED
        )
        UPDATE pending_work
        SET due_at = $2
        FROM due
        WHERE pending_work.id = due.id
        RETURNING pending_work.id, tenant_id
        """,
        now,
        now + LEASE,
    )
    return load(row, Hint) if row else None


async def clear(pool: Pool, hint: Hint, *, now: datetime) -> None:
    """Drop the tenant's other hints that are due: looking once sees all that they announce.

    To be called before looking. A hint written while we look is not here yet and stays.
    """
    await pool.execute(
        """
        WITH others AS (
            SELECT id
            FROM pending_work
            WHERE tenant_id = $1 AND due_at <= $2 AND id <> $3
            FOR UPDATE SKIP LOCKED
        )
        DELETE FROM pending_work
        USING others
        WHERE pending_work.id = others.id
        """,
        hint.tenant_id,
        now,
        hint.id,
    )


async def lock(tx: Tx) -> None:
    """Hold all hints of the tenant, before looking for when it next has something to do.

    Whoever holds another one looks after us, and sees what we leave; a hint that is written meanwhile is
    not here, and stays.
    """
    await tx.conn.execute(
        """
        SELECT 1
        FROM pending_work
        WHERE tenant_id = $1
        ORDER BY id
        FOR UPDATE
        """,
        tx.tenant,
    )


async def put_back(tx: Tx, hint: Hint, *, due: datetime | None) -> None:
    """Replace the hint by the next due time, or drop it when the tenant has nothing left to do.

    It is dropped too when an older hint of the tenant comes up in time, or hints would pile up: who holds
    that one will look again before putting it back. Where the work outlasted the lease, another may have
    cleared the hint meanwhile: it is written anew.
    """
    await tx.conn.execute(
        """
        WITH needed AS (
            SELECT $3::timestamptz IS NOT NULL AND NOT EXISTS (
                SELECT FROM pending_work
                WHERE tenant_id = $2 AND id < $1 AND due_at <= $3
            ) AS is_so
        ), dropped AS (
            DELETE FROM pending_work
            USING needed
            WHERE id = $1 AND NOT is_so
        ), anew AS (
            INSERT INTO pending_work (tenant_id, due_at)
            SELECT $2, $3
            FROM needed
            WHERE is_so AND NOT EXISTS (SELECT FROM pending_work WHERE id = $1)
        )
        UPDATE pending_work
        SET due_at = $3
        FROM needed
        WHERE id = $1 AND is_so
        """,
        hint.id,
        tx.tenant,
        due,
    )
