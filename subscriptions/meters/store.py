"""Every SQL statement about meters."""

from collections.abc import Collection

from kernel.database import Tx
from kernel.errors import Conflict, not_found
from kernel.paging import Page, Window, page_of
from kernel.structs import load
from subscriptions.meters.model import Meter, MeterId


async def insert(tx: Tx, meter: Meter) -> None:
    inserted = await tx.conn.fetchval(
        """
        INSERT INTO meters (tenant_id, id, reference, name, aggregation, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant_id, reference) DO NOTHING
        RETURNING id
        """,
        tx.tenant,
        meter.id,
        meter.reference,
        meter.name,
        meter.aggregation,
        meter.created_at,
    )
    if inserted is None:
        raise Conflict("reference_taken", f"There is a meter {meter.reference!r} already.", param="reference")


async def get(tx: Tx, key: str) -> Meter:
    """By id or by reference."""
    found = await find(tx, [key])
    if key not in found:
        raise not_found("meter", key)
    return found[key]


async def find(tx: Tx, keys: Collection[str]) -> dict[str, Meter]:
    """Those of these ids and references that are there, by the key that named them."""
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, name, aggregation, created_at
        FROM meters
        WHERE tenant_id = $1 AND (id = ANY($2::uuid[]) OR reference = ANY($3::text[]))
        """,
        tx.tenant,
        [read for read in map(MeterId.read, keys) if read],
        list(keys),
    )
    meters = [load(row, Meter) for row in rows]
    named = {name: meter for meter in meters for name in (str(meter.id), str(meter.reference))}
    return {key: named[key] for key in keys if key in named}


async def page(tx: Tx, window: Window) -> Page[Meter]:
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, name, aggregation, created_at
        FROM meters
        WHERE tenant_id = $1 AND id < $2
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return page_of(rows, Meter, window)
