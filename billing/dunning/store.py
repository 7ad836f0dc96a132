"""Every SQL statement about dunning. A row is written and read under the lock of its invoice."""

from collections.abc import Sequence

from billing.dunning.model import Dunning, Status
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.errors import not_found
from kernel.paging import Page, Window, page_of
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


async def page(
    tx: Tx, window: Window, *, customer_id: CustomerId | None, status: Status | None
) -> Page[Dunning]:
    rows = await tx.conn.fetch(
        """
        SELECT d.invoice_id AS id, d.invoice_id, d.status, d.schedule, d.overdue_at, d.counted_from,
               d.steps_taken, d.next_at
        FROM dunnings d
        JOIN invoices i ON i.tenant_id = d.tenant_id AND i.id = d.invoice_id
        WHERE d.tenant_id = $1
          AND d.invoice_id < $2
          AND ($4::uuid IS NULL OR i.customer_id = $4)
          AND ($5::text IS NULL OR d.status = $5)
        ORDER BY d.invoice_id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        customer_id,
        status,
    )
    return page_of(rows, Dunning, window)


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
