"""Every SQL statement about VAT rates."""

from collections.abc import Collection

from billing.tax.model import TaxGroup, TaxRate, TaxRateId
from kernel.database import Tx
from kernel.errors import Conflict, not_found
from kernel.paging import Page, Window, page_of
from kernel.structs import load


async def insert(tx: Tx, rate: TaxRate) -> None:
    inserted = await tx.conn.fetchval(
        """
        INSERT INTO tax_rates (tenant_id, id, reference, name, category, rate_ppm, reason, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (tenant_id, reference) DO NOTHING
        RETURNING id
        """,
        tx.tenant,
        rate.id,
        rate.reference,
        rate.name,
        rate.category,
        rate.rate,
        rate.reason,
        rate.created_at,
    )
    if inserted is None:
        raise Conflict(
            "reference_taken", f"There is a tax rate {rate.reference!r} already.", param="reference"
        )


async def get(tx: Tx, key: str | TaxRateId) -> TaxRate:
    """By id or by reference."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, reference, name, category, rate_ppm AS rate, reason, created_at
        FROM tax_rates
        WHERE tenant_id = $1 AND (id = $2 OR reference = $3)
        """,
        tx.tenant,
        TaxRateId.read(key),
        str(key),
    )
    if row is None:
        raise not_found("tax rate", key)
    return load(row, TaxRate)


async def groups_of(tx: Tx, rate_ids: Collection[TaxRateId]) -> dict[TaxRateId, TaxGroup]:
    """What is taxed at these rates. A rate never changes, so one that was read is remembered."""
    known = {rate_id: _remembered[rate_id] for rate_id in rate_ids if rate_id in _remembered}
    if unknown := [rate_id for rate_id in rate_ids if rate_id not in known]:
        known |= await _groups(tx, unknown)
        if len(_remembered) > MOST_REMEMBERED:
            _remembered.clear()
        _remembered.update(known)
    return known


MOST_REMEMBERED = 10_000
_remembered: dict[TaxRateId, TaxGroup] = {}


async def _groups(tx: Tx, rate_ids: Collection[TaxRateId]) -> dict[TaxRateId, TaxGroup]:
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, name, category, rate_ppm AS rate, reason, created_at
        FROM tax_rates
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        """,
        tx.tenant,
        rate_ids,
    )
    return {rate.id: rate.group for rate in (load(row, TaxRate) for row in rows)}


async def page(tx: Tx, window: Window) -> Page[TaxRate]:
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, name, category, rate_ppm AS rate, reason, created_at
        FROM tax_rates
        WHERE tenant_id = $1 AND id < $2
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return page_of(rows, TaxRate, window)
