"""Every SQL statement about offers and redemptions."""

from collections.abc import Iterable, Mapping, Sequence

from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.errors import Conflict, not_found
from kernel.money import Money
from kernel.paging import Page, Window, page_of
from kernel.structs import Value, load, sent_fields
from promotions.engine import Held
from promotions.identity import Digest
from promotions.model import (
    NEXT,
    CouponId,
    Offer,
    OfferId,
    Policy,
    PolicyChange,
    Redemption,
    RedemptionId,
    Status,
)


class Kept(Value, frozen=True, kw_only=True):
    """Whether a redemption found a place among the customer's own, one in the offer's cap, and its code's.

    Not `is_theirs` where somebody else had the offer under the same identity.
    """

    has_place: bool
    has_slot: bool
    has_code: bool
    is_theirs: bool


async def insert_offer(tx: Tx, offer: Offer) -> None:
    inserted = await tx.conn.fetchval(
        """
        INSERT INTO offers
            (tenant_id, id, reference, name, lane, benefit, conditions, duration, at_end,
             max_redemptions, redeemed, max_per_customer, budget_minor, budget_currency, spent_minor,
             status, metadata, created_at, one_per_identity, remind_days_before)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20)
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
        offer.max_per_customer,
        offer.budget.minor if offer.budget is not None else None,
        offer.budget.currency if offer.budget is not None else None,
        offer.spent.minor if offer.spent is not None else None,
        offer.status,
        offer.metadata,
        offer.created_at,
        offer.one_per_identity,
        offer.remind_days_before,
    )
    if inserted is None:
        raise Conflict(
            "reference_taken", f"There is an offer {offer.reference!r} already.", param="reference"
        )


async def offer(tx: Tx, key: str | OfferId, *, counted: bool = False) -> Offer:
    """By id or by reference. Without a cap its redemptions are only counted when asked for."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, reference, name, lane, benefit, conditions, duration, at_end, max_redemptions,
               CASE WHEN $4 AND max_redemptions IS NULL
                    THEN (SELECT count(*) FROM redemptions r
                          WHERE r.tenant_id = $1 AND r.offer_id = o.id
                            AND r.status NOT IN ('released', 'expired'))
                    ELSE redeemed END AS redeemed,
               max_per_customer, budget_minor, spent_minor, budget_currency AS currency,
               status, metadata, created_at, one_per_identity, remind_days_before
        FROM offers o
        WHERE tenant_id = $1 AND (id = $2 OR reference = $3)
        """,
        tx.tenant,
        OfferId.read(key),
        str(key),
        counted,
    )
    if row is None:
        raise not_found("offer", key)
    return load(row, Offer)


async def lock_offer(tx: Tx, key: str | OfferId) -> OfferId:
    """So that it is changed by one at a time, and not while its last slots are taken."""
    offer_id = await tx.conn.fetchval(
        """
        SELECT id
        FROM offers
        WHERE tenant_id = $1 AND (id = $2 OR reference = $3)
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        OfferId.read(key),
        str(key),
    )
    if offer_id is None:
        raise not_found("offer", key)
    return OfferId.of(offer_id)


async def update_offer(tx: Tx, offer: Offer) -> None:
    await tx.conn.execute(
        """
        UPDATE offers
        SET name             = $3,
            conditions       = $4,
            max_redemptions  = $5,
            max_per_customer = $6,
            budget_minor     = $7,
            budget_currency  = $8,
            spent_minor      = $9,
            status           = $10,
            metadata         = $11,
            remind_days_before = $12
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        offer.id,
        offer.name,
        offer.conditions,
        offer.max_redemptions,
        offer.max_per_customer,
        offer.budget.minor if offer.budget is not None else None,
        offer.budget.currency if offer.budget is not None else None,
        offer.spent.minor if offer.spent is not None else None,
        offer.status,
        offer.metadata,
        offer.remind_days_before,
    )


async def page(tx: Tx, window: Window) -> Page[Offer]:
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, name, lane, benefit, conditions, duration, at_end, max_redemptions,
               CASE WHEN max_redemptions IS NULL
                    THEN (SELECT count(*) FROM redemptions r
                          WHERE r.tenant_id = $1 AND r.offer_id = o.id
                            AND r.status NOT IN ('released', 'expired'))
                    ELSE redeemed END AS redeemed,
               max_per_customer, budget_minor, spent_minor, budget_currency AS currency,
               status, metadata, created_at, one_per_identity, remind_days_before
        FROM offers o
        WHERE tenant_id = $1 AND id < $2
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return page_of(rows, Offer, window)


async def insert_redemption(tx: Tx, held: Held, identities: Sequence[Digest] = ()) -> Kept:
    """In the first place that the customer has free, if that is within the caps of the offer and its coupon,
    together with what nobody else may redeem the offer with from here on.

    What the first invoice took off is spent of the offer's budget. What has no cap is not counted on its row,
    where all who redeem it would have to queue. The offer's row comes before the coupon's, for everybody.
    """
    offer, redemption = held.offer, held.redemption
    row = await tx.conn.fetchrow(
        """
        WITH place AS (
            SELECT p.ordinal
            FROM generate_series(1, $14::int) AS p (ordinal)
            WHERE NOT EXISTS (
                SELECT FROM redemptions r
                WHERE r.tenant_id = $1 AND r.customer_id = $4 AND r.offer_id = $3 AND r.ordinal = p.ordinal
                  AND r.status NOT IN ('released', 'expired')
            )
            ORDER BY p.ordinal
            LIMIT 1
        ), redemption AS (
            INSERT INTO redemptions
                (tenant_id, id, offer_id, customer_id, ordinal, status, periods_used, redeemed_at, coupon_id,
                 applies_from, ends_at, served_at, given_minor, currency, ended_at,
                 reserved_at, reserved_until)
            SELECT $1, $2, $3, $4, ordinal, $5, $6, $7, $8, $9, $10, $11, $12, $13, $18, $19, $20
            FROM place
            ON CONFLICT (tenant_id, customer_id, offer_id, ordinal)
                WHERE status NOT IN ('released', 'expired')
                DO NOTHING
            RETURNING id
        ), slot AS (
            UPDATE offers
            SET redeemed = redeemed + (max_redemptions IS NOT NULL)::int, spent_minor = spent_minor + $12
            WHERE tenant_id = $1 AND id = $3
              AND (max_redemptions IS NULL OR redeemed < max_redemptions)
              AND (budget_minor IS NULL OR spent_minor + $12 <= budget_minor)
              AND $15
              AND EXISTS (SELECT FROM redemption)
            RETURNING id
        ), use AS (
            UPDATE coupons
            SET redeemed = redeemed + 1
            WHERE tenant_id = $1 AND id = $8 AND redeemed < max_redemptions AND status = 'active'
              AND EXISTS (SELECT FROM redemption)
              AND (NOT $15 OR EXISTS (SELECT FROM slot))
            RETURNING id
        ), uncounted AS (
            SELECT id
            FROM coupons
            WHERE tenant_id = $1 AND id = $8 AND max_redemptions IS NULL
        ), identity AS (
            INSERT INTO redemption_identities (tenant_id, offer_id, kind, digest, customer_id)
            SELECT $1, $3, i.kind, i.digest, $4
            FROM unnest($16::text[], $17::bytea[]) AS i (kind, digest)
            WHERE EXISTS (SELECT FROM redemption)
            ON CONFLICT (tenant_id, offer_id, kind, digest) DO UPDATE
            SET customer_id = EXCLUDED.customer_id
            WHERE redemption_identities.customer_id = EXCLUDED.customer_id  -- their own may stand already
            RETURNING kind
        )
        SELECT EXISTS (SELECT FROM redemption) AS has_place,
               NOT $15::bool OR EXISTS (SELECT FROM slot) AS has_slot,
               $8::uuid IS NULL OR EXISTS (SELECT FROM use) OR EXISTS (SELECT FROM uncounted) AS has_code,
               (SELECT count(*) FROM identity) = cardinality($16) AS is_theirs
        """,
        tx.tenant,
        redemption.id,
        redemption.offer_id,
        redemption.customer_id,
        redemption.status,
        redemption.periods_used,
        redemption.redeemed_at,
        redemption.coupon_id,
        redemption.applies_from,
        redemption.ends_at,
        redemption.served_at,
        redemption.given.minor if redemption.given is not None else 0,
        redemption.given.currency if redemption.given is not None else None,
        offer.max_per_customer,
        offer.max_redemptions is not None or (offer.budget is not None and bool(redemption.given)),
        [each.kind for each in identities],
        [each.digest for each in identities],
        redemption.ended_at,
        redemption.reserved_at,
        redemption.reserved_until,
    )
    assert row is not None, "a SELECT of answers has a row"
    return load(row, Kept)


async def take_over(tx: Tx, held: Held) -> Kept:
    """A reservation becomes what it was kept for: its place, slot and use of the code are its own already."""
    redemption = held.redemption
    assert redemption.given is not None, "what is redeemed has a currency"
    row = await tx.conn.fetchrow(
        """
        WITH redemption AS (
            UPDATE redemptions
            SET status       = $4,
                periods_used = $5,
                redeemed_at  = $6,
                applies_from = $7,
                ends_at      = $8,
                served_at    = $9,
                given_minor  = $10,
                currency     = $11,
                ended_at     = $12
            WHERE tenant_id = $1 AND id = $2 AND status = 'reserved'
            RETURNING id
        ), spending AS (
            UPDATE offers
            SET spent_minor = spent_minor + $10
            WHERE tenant_id = $1 AND id = $3 AND $13 AND spent_minor + $10 <= budget_minor
              AND EXISTS (SELECT FROM redemption)
            RETURNING id
        )
        SELECT EXISTS (SELECT FROM redemption) AS has_place,
               NOT $13::bool OR EXISTS (SELECT FROM spending) AS has_slot,
               true AS has_code,
               true AS is_theirs
        """,
        tx.tenant,
        redemption.id,
        redemption.offer_id,
        redemption.status,
        redemption.periods_used,
        redemption.redeemed_at,
        redemption.applies_from,
        redemption.ends_at,
        redemption.served_at,
        redemption.given.minor,
        redemption.given.currency,
        redemption.ended_at,
        held.offer.budget is not None and bool(redemption.given),
    )
    assert row is not None, "a SELECT of answers has a row"
    return load(row, Kept)


async def held(
    tx: Tx, redemption_ids: Sequence[RedemptionId], *, to_bill: bool = False
) -> dict[RedemptionId, Held]:
    """Redemptions with their offers, in two statements however many they are.

    To bill them, the offers that have a budget are locked: who spends of one takes turns.
    """
    if not redemption_ids:
        return {}
    rows = await tx.conn.fetch(
        """
        SELECT id, offer_id, coupon_id, customer_id, status, periods_used, applies_from, ends_at, served_at,
               CASE WHEN currency IS NOT NULL THEN given_minor END AS given_minor, currency, redeemed_at,
               converted_at, ended_at, reserved_at, reserved_until
        FROM redemptions
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        """,
        tx.tenant,
        redemption_ids,
    )
    redemptions = [load(row, Redemption) for row in rows]
    offers = await _offers(tx, {redemption.offer_id for redemption in redemptions})
    with_budget = [offer.id for offer in offers.values() if offer.budget is not None]
    if to_bill and with_budget:
        offers |= await _lock_offers(tx, with_budget)
    return {each.id: Held(offer=offers[each.offer_id], redemption=each) for each in redemptions}


async def _offers(tx: Tx, offer_ids: Iterable[OfferId]) -> dict[OfferId, Offer]:
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, name, lane, benefit, conditions, duration, at_end, max_redemptions,
               redeemed, max_per_customer, budget_minor, spent_minor, budget_currency AS currency,
               status, metadata, created_at, one_per_identity, remind_days_before
        FROM offers
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        """,
        tx.tenant,
        list(offer_ids),
    )
    return {offer.id: offer for offer in (load(row, Offer) for row in rows)}


async def _lock_offers(tx: Tx, offer_ids: Sequence[OfferId]) -> dict[OfferId, Offer]:
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, name, lane, benefit, conditions, duration, at_end, max_redemptions,
               redeemed, max_per_customer, budget_minor, spent_minor, budget_currency AS currency,
               status, metadata, created_at, one_per_identity, remind_days_before
        FROM offers
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        ORDER BY id
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        offer_ids,
    )
    return {offer.id: offer for offer in (load(row, Offer) for row in rows)}


async def count_periods(tx: Tx, redemptions: Sequence[Redemption]) -> None:
    """Write how far they have served."""
    if not redemptions:
        return
    await tx.conn.execute(
        """
        UPDATE redemptions r
        SET periods_used = c.periods_used, status = c.status, served_at = c.served_at,
            given_minor = c.given_minor, ended_at = c.ended_at
        FROM unnest($2::uuid[], $3::int[], $4::text[], $5::timestamptz[], $6::bigint[], $7::timestamptz[])
             AS c (id, periods_used, status, served_at, given_minor, ended_at)
        WHERE r.tenant_id = $1 AND r.id = c.id
        """,
        tx.tenant,
        [redemption.id for redemption in redemptions],
        [redemption.periods_used for redemption in redemptions],
        [redemption.status for redemption in redemptions],
        [redemption.served_at for redemption in redemptions],
        [redemption.given.minor if redemption.given is not None else 0 for redemption in redemptions],
        [redemption.ended_at for redemption in redemptions],
    )


async def spend(tx: Tx, spent: Mapping[OfferId, Money]) -> None:
    """Of budgets, which have been locked: the table's check holds them."""
    if not spent:
        return
    await tx.conn.execute(
        """
        UPDATE offers o
        SET spent_minor = spent_minor + s.minor
        FROM unnest($2::uuid[], $3::bigint[]) AS s (id, minor)
        WHERE o.tenant_id = $1 AND o.id = s.id
        """,
        tx.tenant,
        list(spent),
        [amount.minor for amount in spent.values()],
    )


async def redemption(tx: Tx, redemption_id: RedemptionId) -> Redemption:
    row = await tx.conn.fetchrow(
        """
        SELECT id, offer_id, coupon_id, customer_id, status, periods_used, applies_from, ends_at, served_at,
               CASE WHEN currency IS NOT NULL THEN given_minor END AS given_minor, currency, redeemed_at,
               converted_at, ended_at, reserved_at, reserved_until
        FROM redemptions
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        redemption_id,
    )
    if row is None:
        raise not_found("redemption", redemption_id)
    return load(row, Redemption)


async def page_of_redemptions(
    tx: Tx,
    window: Window,
    *,
    customer_id: CustomerId | None,
    offer_id: OfferId | None,
    status: Status | None,
) -> Page[Redemption]:
    rows = await tx.conn.fetch(
        """
        SELECT id, offer_id, coupon_id, customer_id, status, periods_used, applies_from, ends_at, served_at,
               CASE WHEN currency IS NOT NULL THEN given_minor END AS given_minor, currency, redeemed_at,
               converted_at, ended_at, reserved_at, reserved_until
        FROM redemptions
        WHERE tenant_id = $1 AND id < $2
          AND ($4::uuid IS NULL OR customer_id = $4)
          AND ($5::uuid IS NULL OR offer_id = $5)
          AND ($6::text IS NULL OR status = $6)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        customer_id,
        offer_id,
        status,
    )
    return page_of(rows, Redemption, window)


async def lock_reservations(tx: Tx, customer_id: CustomerId) -> list[Held]:
    """What is kept for a customer, with its offers; in two statements, or one where nothing is."""
    rows = await tx.conn.fetch(
        """
        SELECT id, offer_id, coupon_id, customer_id, status, periods_used, applies_from, ends_at, served_at,
               CASE WHEN currency IS NOT NULL THEN given_minor END AS given_minor, currency, redeemed_at,
               converted_at, ended_at, reserved_at, reserved_until
        FROM redemptions
        WHERE tenant_id = $1 AND customer_id = $2 AND status = 'reserved'
        ORDER BY id
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        customer_id,
    )
    reserved = [load(row, Redemption) for row in rows]
    offers = await _offers(tx, {each.offer_id for each in reserved}) if reserved else {}
    return [Held(offer=offers[each.offer_id], redemption=each) for each in reserved]


# ── How offers add up ───────────────────────────────────────────────────────────────────────────────────


async def policy(tx: Tx) -> Policy:
    """What the tenant has said, or what holds until it does."""
    row = await tx.conn.fetchrow(
        """
        SELECT percentages, comes_first AS "order", cumulative_lanes
        FROM stacking_policies
        WHERE tenant_id = $1
        """,
        tx.tenant,
    )
    return load(row, Policy) if row else Policy()


async def change_policy(tx: Tx, change: PolicyChange) -> Policy:
    """In one statement, so that two changes at once both hold."""
    sent, unset = sent_fields(change), Policy()
    lanes = sent.get("cumulative_lanes")
    row = await tx.conn.fetchrow(
        """
        INSERT INTO stacking_policies AS p
            (tenant_id, percentages, comes_first, cumulative_lanes)
        VALUES ($1, COALESCE($2, $5), COALESCE($3, $6), COALESCE($4::int[], '{}'))
        ON CONFLICT (tenant_id) DO UPDATE
        SET percentages      = COALESCE($2, p.percentages),
            comes_first      = COALESCE($3, p.comes_first),
            cumulative_lanes = COALESCE($4::int[], p.cumulative_lanes)
        RETURNING percentages, comes_first AS "order", cumulative_lanes
        """,
        tx.tenant,
        sent.get("percentages"),
        sent.get("order"),
        None if lanes is None else sorted(set(lanes)),
        unset.percentages,
        unset.order,
    )
    assert row is not None, "an upsert returns its row"
    return load(row, Policy)


class TakenBack(Value, frozen=True, kw_only=True):
    id: RedemptionId
    offer_id: OfferId
    coupon_id: CouponId | None
    customer_id: CustomerId


async def take_back(tx: Tx, redemption_id: RedemptionId, *, to: Status) -> TakenBack | None:
    """With its slot and what it spent of the budget; None where it cannot come into that state any more."""
    row = await tx.conn.fetchrow(
        """
        WITH released AS (
            UPDATE redemptions
            SET status = $3
            WHERE tenant_id = $1 AND id = $2 AND status = ANY($4::text[])
            RETURNING id, offer_id, coupon_id, customer_id, given_minor
        ), offer AS (
            UPDATE offers o
            SET redeemed = redeemed - CASE WHEN max_redemptions IS NULL THEN 0 ELSE 1 END,
                spent_minor = spent_minor - r.given_minor
            FROM released r
            WHERE o.tenant_id = $1 AND o.id = r.offer_id
        )
        SELECT id, offer_id, coupon_id, customer_id
        FROM released
        """,
        tx.tenant,
        redemption_id,
        to,
        [status for status, following in NEXT.items() if to in following],
    )
    return load(row, TakenBack) if row else None


async def give_back_use(tx: Tx, coupon_id: CouponId) -> None:
    """Of a code whose uses are counted."""
    await tx.conn.execute(
        """
        UPDATE coupons
        SET redeemed = redeemed - 1
        WHERE tenant_id = $1 AND id = $2 AND max_redemptions IS NOT NULL
        """,
        tx.tenant,
        coupon_id,
    )


async def forget_identities(tx: Tx, offer_id: OfferId, customer_id: CustomerId) -> None:
    """Of a customer who holds the offer no more."""
    await tx.conn.execute(
        """
        DELETE FROM redemption_identities
        WHERE tenant_id = $1 AND offer_id = $2 AND customer_id = $3
          AND NOT EXISTS (
              SELECT FROM redemptions r
              WHERE r.tenant_id = $1 AND r.offer_id = $2 AND r.customer_id = $3
                AND r.status NOT IN ('released', 'expired')
          )
        """,
        tx.tenant,
        offer_id,
        customer_id,
    )


async def revoke(tx: Tx, redemption_ids: Sequence[RedemptionId]) -> list[TakenBack]:
    rows = await tx.conn.fetch(
        """
        UPDATE redemptions
        SET status = 'revoked'
        WHERE tenant_id = $1 AND id = ANY($2::uuid[]) AND status IN ('redeemed', 'exhausted')
        RETURNING id, offer_id, coupon_id, customer_id
        """,
        tx.tenant,
        redemption_ids,
    )
    return [load(row, TakenBack) for row in rows]
