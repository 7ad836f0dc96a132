"""Every SQL statement about coupons."""

from collections.abc import AsyncIterator, Collection, Mapping
from datetime import timedelta

from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.errors import not_found
from kernel.paging import Page, Window, page_of
from kernel.structs import Row, load
from promotions.coupons.codes import normal
from promotions.coupons.model import Attempts, Coupon, CouponBatch, CouponBatchId, Reached, Referral
from promotions.model import CouponId, Offer, OfferId, RedemptionId

CSV_ROWS = 5_000

# ── Coupons ─────────────────────────────────────────────────────────────────────────────────────────────


async def insert(tx: Tx, like: Coupon, codes: Mapping[CouponId, str]) -> int:
    """A coupon for each of these codes, otherwise as the one given; how many were not taken before."""
    done = await tx.conn.execute(
        """
        INSERT INTO coupons
            (tenant_id, id, offer_id, coupon_batch_id, code, normal_code, customer_id, max_redemptions,
             expires_at, status, metadata, created_at, referrer_id, referrer_offer_id)
        SELECT $1, c.id, $5, $6, c.code, c.normal_code, $7, $8, $9, $10, $11, $12, $13, $14
        FROM unnest($2::uuid[], $3::text[], $4::text[]) AS c (id, code, normal_code)
        ON CONFLICT (tenant_id, normal_code) DO NOTHING
        """,
        tx.tenant,
        list(codes),
        list(codes.values()),
        [normal(code) for code in codes.values()],
        like.offer_id,
        like.coupon_batch_id,
        like.customer_id,
        like.max_redemptions,
        like.expires_at,
        like.status,
        like.metadata,
        like.created_at,
        like.referrer_id,
        like.referrer_offer_id,
    )
    return int(done.rpartition(" ")[2])


async def coupon(tx: Tx, key: str) -> Coupon:
    """By id or by code, however that is written."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, offer_id, coupon_batch_id, code, customer_id, max_redemptions,
               CASE WHEN max_redemptions IS NULL
                    THEN (SELECT count(*) FROM redemptions r
                          WHERE r.tenant_id = $1 AND r.coupon_id = c.id
                            AND r.status NOT IN ('released', 'expired'))
                    ELSE redeemed END AS redeemed,
               expires_at, status, metadata, created_at, referrer_id, referrer_offer_id
        FROM coupons c
        WHERE tenant_id = $1 AND (id = $2 OR normal_code = $3)
        """,
        tx.tenant,
        CouponId.read(key),
        normal(key),
    )
    if row is None:
        raise not_found("coupon", key)
    return load(row, Coupon)


async def page(
    tx: Tx,
    window: Window,
    *,
    offer_id: OfferId | None,
    customer_id: CustomerId | None,
    batch_id: CouponBatchId | None,
    code: str | None,
) -> Page[Coupon]:
    rows = await tx.conn.fetch(
        """
        SELECT id, offer_id, coupon_batch_id, code, customer_id, max_redemptions,
               CASE WHEN max_redemptions IS NULL
                    THEN (SELECT count(*) FROM redemptions r
                          WHERE r.tenant_id = $1 AND r.coupon_id = c.id
                            AND r.status NOT IN ('released', 'expired'))
                    ELSE redeemed END AS redeemed,
               expires_at, status, metadata, created_at, referrer_id, referrer_offer_id
        FROM coupons c
        WHERE tenant_id = $1 AND id < $2
          AND ($4::uuid IS NULL OR offer_id = $4)
          AND ($5::uuid IS NULL OR customer_id = $5)
          AND ($6::uuid IS NULL OR coupon_batch_id = $6)
          AND ($7::text IS NULL OR normal_code = $7)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        offer_id,
        customer_id,
        batch_id,
        None if code is None else normal(code),
    )
    return page_of(rows, Coupon, window)


async def revoke(tx: Tx, coupon_id: CouponId) -> bool:
    """False when it was revoked before."""
    revoked = await tx.conn.fetchval(
        """
        UPDATE coupons
        SET status = 'revoked'
        WHERE tenant_id = $1 AND id = $2 AND status = 'active'
        RETURNING id
        """,
        tx.tenant,
        coupon_id,
    )
    return revoked is not None


# ── What a code puts within reach ───────────────────────────────────────────────────────────────────────


async def reached(tx: Tx, codes: Collection[str]) -> dict[str, Reached]:
    """By the codes as they were given. Those that nobody has are not in it."""
    wanted = {code: normal(code) for code in codes}
    rows = await tx.conn.fetch(
        """
        SELECT c.normal_code,
               c.id AS coupon_id, c.coupon_batch_id, c.code, c.customer_id, c.expires_at AS coupon_expires_at,
               c.max_redemptions AS coupon_max, c.redeemed AS coupon_redeemed, c.status AS coupon_status,
               c.metadata AS coupon_metadata, c.created_at AS coupon_created_at,
               c.referrer_id, c.referrer_offer_id,
               o.id, o.reference, o.name, o.lane, o.benefit, o.conditions, o.duration, o.at_end,
               o.max_redemptions, o.redeemed, o.max_per_customer, o.budget_minor, o.spent_minor,
               o.budget_currency AS currency, o.status, o.metadata, o.created_at, o.one_per_identity,
               o.remind_days_before
        FROM coupons c
        JOIN offers o ON o.tenant_id = $1 AND o.id = c.offer_id
        WHERE c.tenant_id = $1 AND c.normal_code = ANY($2::text[])
        """,
        tx.tenant,
        list(wanted.values()),
    )
    found = {row["normal_code"]: _reached(row) for row in rows}
    return {code: found[key] for code, key in wanted.items() if key in found}


def _reached(row: Row) -> Reached:
    coupon = {
        "id": row["coupon_id"],
        "offer_id": row["id"],
        "coupon_batch_id": row["coupon_batch_id"],
        "code": row["code"],
        "customer_id": row["customer_id"],
        "max_redemptions": row["coupon_max"],
        "redeemed": row["coupon_redeemed"],
        "expires_at": row["coupon_expires_at"],
        "status": row["coupon_status"],
        "metadata": row["coupon_metadata"],
        "created_at": row["coupon_created_at"],
        "referrer_id": row["referrer_id"],
        "referrer_offer_id": row["referrer_offer_id"],
    }
    return Reached(coupon=load(coupon, Coupon), offer=load(row, Offer))


# ── Who brings others ───────────────────────────────────────────────────────────────────────────────────


async def referral_code(tx: Tx, referrer_id: CustomerId, offer_id: OfferId) -> Coupon | None:
    """The one of theirs that can be used."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, offer_id, coupon_batch_id, code, customer_id, max_redemptions,
               CASE WHEN max_redemptions IS NULL
                    THEN (SELECT count(*) FROM redemptions r
                          WHERE r.tenant_id = $1 AND r.coupon_id = c.id
                            AND r.status NOT IN ('released', 'expired'))
                    ELSE redeemed END AS redeemed,
               expires_at, status, metadata, created_at, referrer_id, referrer_offer_id
        FROM coupons c
        WHERE tenant_id = $1 AND referrer_id = $2 AND offer_id = $3 AND status = 'active'
        """,
        tx.tenant,
        referrer_id,
        offer_id,
    )
    return load(row, Coupon) if row else None


async def referral_of(tx: Tx, redemption_id: RedemptionId) -> Referral | None:
    row = await tx.conn.fetchrow(
        """
        SELECT r.id AS redemption_id, r.customer_id AS newcomer_id, c.referrer_id, c.referrer_offer_id
        FROM redemptions r
        JOIN coupons c ON c.tenant_id = $1 AND c.id = r.coupon_id
        WHERE r.tenant_id = $1 AND r.id = $2 AND c.referrer_id IS NOT NULL
        """,
        tx.tenant,
        redemption_id,
    )
    return load(row, Referral) if row else None


async def insert_referral(tx: Tx, referral: Referral) -> bool:
    """False when that newcomer has been brought already, by whomever."""
    inserted = await tx.conn.fetchval(
        """
        INSERT INTO referrals
            (tenant_id, newcomer_id, redemption_id, referrer_id, referrer_offer_id, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant_id, newcomer_id) DO NOTHING
        RETURNING newcomer_id
        """,
        tx.tenant,
        referral.newcomer_id,
        referral.redemption_id,
        referral.referrer_id,
        referral.referrer_offer_id,
        tx.now,
    )
    return inserted is not None


# ── Batches ─────────────────────────────────────────────────────────────────────────────────────────────


async def insert_batch(tx: Tx, batch: CouponBatch) -> None:
    await tx.conn.execute(
        """
        INSERT INTO coupon_batches
            (tenant_id, id, offer_id, name, prefix, count, max_redemptions, expires_at, metadata, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        """,
        tx.tenant,
        batch.id,
        batch.offer_id,
        batch.name,
        batch.prefix,
        batch.count,
        batch.max_redemptions,
        batch.expires_at,
        batch.metadata,
        batch.created_at,
    )


async def batch(tx: Tx, batch_id: CouponBatchId) -> CouponBatch:
    row = await tx.conn.fetchrow(
        """
        SELECT id, offer_id, name, prefix, count, max_redemptions, expires_at, metadata, created_at
        FROM coupon_batches
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        batch_id,
    )
    if row is None:
        raise not_found("coupon batch", batch_id)
    return load(row, CouponBatch)


async def batches(tx: Tx, window: Window, *, offer_id: OfferId | None) -> Page[CouponBatch]:
    rows = await tx.conn.fetch(
        """
        SELECT id, offer_id, name, prefix, count, max_redemptions, expires_at, metadata, created_at
        FROM coupon_batches
        WHERE tenant_id = $1 AND id < $2 AND ($4::uuid IS NULL OR offer_id = $4)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        offer_id,
    )
    return page_of(rows, CouponBatch, window)


async def revoke_all(tx: Tx, batch_id: CouponBatchId) -> bool:
    """False when none was left to revoke."""
    done = await tx.conn.execute(
        """
        UPDATE coupons
        SET status = 'revoked'
        WHERE tenant_id = $1 AND coupon_batch_id = $2 AND status = 'active'
        """,
        tx.tenant,
        batch_id,
    )
    return done != "UPDATE 0"


async def of_batch(tx: Tx, batch_id: CouponBatchId) -> AsyncIterator[list[Coupon]]:
    """In the order they were made, some thousands at a time."""
    after = CouponId(bytes(16))
    while chunk := await _after(tx, batch_id, after):
        yield chunk
        after = chunk[-1].id


async def _after(tx: Tx, batch_id: CouponBatchId, after: CouponId) -> list[Coupon]:
    rows = await tx.conn.fetch(
        """
        SELECT id, offer_id, coupon_batch_id, code, customer_id, max_redemptions,
               CASE WHEN max_redemptions IS NULL
                    THEN (SELECT count(*) FROM redemptions r
                          WHERE r.tenant_id = $1 AND r.coupon_id = c.id
                            AND r.status NOT IN ('released', 'expired'))
                    ELSE redeemed END AS redeemed,
               expires_at, status, metadata, created_at, referrer_id, referrer_offer_id
        FROM coupons c
        WHERE tenant_id = $1 AND coupon_batch_id = $2 AND id > $3
        ORDER BY id
        LIMIT $4
        """,
        tx.tenant,
        batch_id,
        after,
        CSV_ROWS,
    )
    return [load(row, Coupon) for row in rows]


# ── Codes that were tried in vain ───────────────────────────────────────────────────────────────────────


async def attempts(tx: Tx, who: str) -> Attempts | None:
    row = await tx.conn.fetchrow(
        """
        SELECT failures, counted_from
        FROM coupon_attempts
        WHERE tenant_id = $1 AND who = $2
        """,
        tx.tenant,
        who,
    )
    return load(row, Attempts) if row else None


async def count_failures(tx: Tx, who: str, failures: int, *, within: timedelta) -> None:
    """A count that is older begins anew. Some of others that are, and nobody has in hand, are forgotten."""
    await tx.conn.execute(
        """
        WITH counted AS (
            INSERT INTO coupon_attempts AS a (tenant_id, who, failures, counted_from)
            VALUES ($1, $2, $3, $4)
            ON CONFLICT (tenant_id, who) DO UPDATE
            SET failures     = CASE WHEN a.counted_from <= $5 THEN $3 ELSE a.failures + $3 END,
                counted_from = CASE WHEN a.counted_from <= $5 THEN $4 ELSE a.counted_from END
        ), old AS (
            SELECT who
            FROM coupon_attempts
            WHERE tenant_id = $1 AND counted_from <= $5 AND who <> $2
            LIMIT 100
            FOR UPDATE SKIP LOCKED
        )
        DELETE FROM coupon_attempts a
        USING old
        WHERE a.tenant_id = $1 AND a.who = old.who
        """,
        tx.tenant,
        who,
        failures,
        tx.wall,
        tx.wall - within,
    )
