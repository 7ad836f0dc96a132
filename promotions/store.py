"""Every SQL statement about offers and redemptions."""

from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.errors import Conflict, not_found
from kernel.paging import Page, Window, page_of
from kernel.structs import load
from promotions.model import Offer, OfferId, Redemption, RedemptionId, Status


async def insert_offer(tx: Tx, offer: Offer) -> None:
    inserted = await tx.conn.fetchval(
        """
        INSERT INTO offers
            (tenant_id, id, reference, name, lane, benefit, conditions, duration, at_end,
             max_redemptions, redeemed, active, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (tenant_id, reference) DO NOTHING
        RETURNING id
        """,
        tx.tenant,
        offer.id,
        offer.reference,
        offer.name,
        offer.lane,
        offer.benefit,
        offer.conditions,
        offer.duration,
        offer.at_end,
        offer.max_redemptions,
        offer.redeemed,
        offer.active,
        offer.created_at,
    )
    if inserted is None:
        raise Conflict(
            "reference_taken", f"There is an offer {offer.reference!r} already.", param="reference"
        )


async def offer(tx: Tx, key: str | OfferId) -> Offer:
    """By id or by reference."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, reference, name, lane, benefit, conditions, duration, at_end, max_redemptions,
               redeemed, active, created_at
        FROM offers
        WHERE tenant_id = $1 AND (id = $2 OR reference = $3)
        """,
        tx.tenant,
        OfferId.read(key),
        str(key),
    )
    if row is None:
        raise not_found("offer", key)
    return load(row, Offer)


async def page(tx: Tx, window: Window) -> Page[Offer]:
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, name, lane, benefit, conditions, duration, at_end, max_redemptions,
               redeemed, active, created_at
        FROM offers
        WHERE tenant_id = $1 AND id < $2
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return page_of(rows, Offer, window)


async def take_slot(tx: Tx, offer_id: OfferId) -> bool:
    """Count one redemption against the cap; False when the cap is reached."""
    taken = await tx.conn.fetchval(
        """
        UPDATE offers
        SET redeemed = redeemed + 1
        WHERE tenant_id = $1 AND id = $2 AND (max_redemptions IS NULL OR redeemed < max_redemptions)
        RETURNING id
        """,
        tx.tenant,
        offer_id,
    )
    return taken is not None


async def insert_redemption(tx: Tx, redemption: Redemption) -> bool:
    """False when the customer has redeemed the offer before."""
    inserted = await tx.conn.fetchval(
        """
        INSERT INTO redemptions
            (tenant_id, id, offer_id, customer_id, status, periods_used, redeemed_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (tenant_id, customer_id, offer_id) DO NOTHING
        RETURNING id
        """,
        tx.tenant,
        redemption.id,
        redemption.offer_id,
        redemption.customer_id,
        redemption.status,
        redemption.periods_used,
        redemption.redeemed_at,
    )
    return inserted is not None


async def redemption(tx: Tx, redemption_id: RedemptionId) -> Redemption:
    row = await tx.conn.fetchrow(
        """
        SELECT id, offer_id, customer_id, status, periods_used, redeemed_at
        FROM redemptions
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        redemption_id,
    )
    if row is None:
        raise not_found("redemption", redemption_id)
    return load(row, Redemption)


async def count_period(tx: Tx, redemption_id: RedemptionId, status: Status, *, periods: int) -> None:
    await tx.conn.execute(
        """
        UPDATE redemptions
        SET periods_used = $4, status = $3
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        redemption_id,
        status,
        periods,
    )


async def redemptions(tx: Tx, customer_id: CustomerId) -> list[Redemption]:
    rows = await tx.conn.fetch(
        """
        SELECT id, offer_id, customer_id, status, periods_used, redeemed_at
        FROM redemptions
        WHERE tenant_id = $1 AND customer_id = $2
        ORDER BY id
        """,
        tx.tenant,
        customer_id,
    )
    return [load(row, Redemption) for row in rows]
