"""Every SQL statement about dunning. A row is written and read under the lock of its invoice."""

from collections.abc import Sequence

from billing.dunning.model import Dunning
from billing.invoices.model import InvoiceId
from kernel.database import Tx
from kernel.errors import not_found
from kernel.structs import load


async def put(tx: Tx, dunning: Dunning) -> None:
    await tx.conn.execute(
        """
        INSERT INTO dunnings
            (tenant_id, invoice_id, status, schedule, overdue_at, counted_from, steps_taken, next_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (tenant_id, invoice_id) DO UPDATE
        SET status = EXCLUDED.status, schedule = EXCLUDED.schedule, overdue_at = EXCLUDED.overdue_at,
            counted_from = EXCLUDED.counted_from, steps_taken = EXCLUDED.steps_taken,
            next_at = EXCLUDED.next_at
        """,
        tx.tenant,
        dunning.invoice_id,
        dunning.status,
        dunning.schedule,
        dunning.overdue_at,
        dunning.counted_from,
        dunning.steps_taken,
        dunning.next_at,
    )


async def find(tx: Tx, invoice_id: InvoiceId) -> Dunning | None:
    row = await tx.conn.fetchrow(
        """
        SELECT invoice_id, status, schedule, overdue_at, counted_from, steps_taken, next_at
        FROM dunnings
        WHERE tenant_id = $1 AND invoice_id = $2
        """,
        tx.tenant,
        invoice_id,
    )
    return load(row, Dunning) if row else None


async def get(tx: Tx, invoice_id: InvoiceId) -> Dunning:
    found = await find(tx, invoice_id)
    if found is None:
        raise not_found("dunning", invoice_id)
    return found


async def end(tx: Tx, invoice_id: InvoiceId) -> bool:
    """The invoice is settled. True when it was overdue until now."""
    was_overdue: bool | None = await tx.conn.fetchval(
        """
        UPDATE dunnings
        SET status = 'recovered', next_at = NULL
        WHERE tenant_id = $1 AND invoice_id = $2 AND status <> 'recovered'
        RETURNING overdue_at IS NOT NULL
        """,
        tx.tenant,
        invoice_id,
    )
    return bool(was_overdue)


async def any_overdue(tx: Tx, invoice_ids: Sequence[InvoiceId]) -> bool:
    return bool(
        await tx.conn.fetchval(
            """
            SELECT EXISTS (
                SELECT FROM dunnings
                WHERE tenant_id = $1
                  AND invoice_id = ANY($2::uuid[])
                  AND overdue_at IS NOT NULL
                  AND status <> 'recovered'
            )
            """,
            tx.tenant,
            invoice_ids,
        )
    )
