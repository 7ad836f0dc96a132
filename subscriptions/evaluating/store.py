"""The one statement that reads whatever decides what a newcomer or a customer would pay."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, TypeVar

import msgspec

from billing.parties.model import Customer, CustomerId, LegalEntity, LegalEntityId, Proration
from billing.tax.model import TaxBehavior, TaxRate, TaxRateId
from kernel.database import Tx
from kernel.ids import Id
from kernel.periods import Interval, Unit
from kernel.rows import REMEMBERED, Inner, reader
from kernel.structs import Value, load
from promotions.coupons.attempts import ANYBODY
from promotions.coupons.codes import normal
from promotions.coupons.model import Attempts, Coupon
from promotions.identity import Digest, digests
from promotions.model import Offer, OfferId, Policy
from subscriptions.evaluating.model import Newcomer, NewEvaluation
from subscriptions.model import Plan, PlanId, Price

K = TypeVar("K", bound=Id)


class Read(Value, frozen=True, kw_only=True):
    """What was found of that which was asked for; coupons by the text that codes are looked for by.

    `redeemed` is how often the customer has had an offer, a time it is `reserved` until then among them.
    """

    clock: datetime | None
    customer: Customer | None
    has_subscribed: bool
    has_invoices: bool
    entity: LegalEntity | None
    tax_rates: dict[TaxRateId, TaxRate]
    own_rate: TaxRateId | None
    plans: tuple[Plan, ...]
    offers: tuple[Offer, ...]
    coupons: dict[str, Coupon]
    redeemed: dict[OfferId, int]
    reserved: dict[OfferId, datetime]
    known: frozenset[OfferId]
    attempts: Attempts | None
    policy: Policy
    proration: Proration
    tax_behavior: TaxBehavior


async def read(tx: Tx, request: NewEvaluation) -> Read:
    newcomer = request.newcomer or Newcomer()
    plans = [*([request.plan] if request.plan else []), *(addon.plan for addon in request.addons)]
    row = await tx.conn.fetchrow(
        """
        WITH customer AS (
            SELECT id, reference, name, email, language, address, vat_number, siren, legal_entity_id,
                   tax_rate_id, payment_method, metadata, created_at
            FROM customers
            WHERE tenant_id = $1 AND (id = $2 OR reference = $3)
        ), entity AS (
            SELECT id, reference, seller, language, time_zone, vat_due, tax_rate_id, payment_terms_days,
                   invoice_number_format, credit_note_number_format, is_default, created_at
            FROM legal_entities
            WHERE tenant_id = $1
              AND (CASE WHEN EXISTS (SELECT FROM customer) THEN id = (SELECT legal_entity_id FROM customer)
                        WHEN $5::text IS NOT NULL          THEN id = $4 OR reference = $5
                        ELSE is_default END)
        ), plan AS (
            SELECT p.id, p.reference, p.name, p.kind, v.version, v.interval_unit, v.interval_count,
                   v.tax_rate_id, v.tax_behavior, v.meters, v.entitlements, v.trial_days, v.minimum_term,
                   p.created_at
            FROM plans p
            JOIN plan_versions v ON v.tenant_id = p.tenant_id AND v.plan_id = p.id AND v.version = p.version
            WHERE p.tenant_id = $1 AND (p.id = ANY ($8::uuid[]) OR p.reference = ANY ($9::text[]))
        ), coupon AS (
            SELECT id, offer_id, coupon_batch_id, code, normal_code, customer_id, max_redemptions, redeemed,
                   expires_at, status, metadata, created_at, referrer_id, referrer_offer_id
            FROM coupons
            WHERE tenant_id = $1 AND normal_code = ANY ($12::text[])
        ), offer AS (
            SELECT id, reference, name, lane, benefit, conditions, duration, at_end, max_redemptions,
                   redeemed, max_per_customer, budget_minor, spent_minor, budget_currency, status, metadata,
                   created_at, one_per_identity
            FROM offers
            WHERE tenant_id = $1
              AND (id = ANY ($10::uuid[]) OR reference = ANY ($11::text[])
                   OR id IN (SELECT offer_id FROM coupon))
        )
        SELECT (SELECT now_at FROM test_clocks WHERE tenant_id = $1) AS clock,
               ARRAY (SELECT ROW (id, reference, name, email, language, address, vat_number, siren,
                                  legal_entity_id, tax_rate_id, payment_method, metadata, created_at)
                      FROM customer) AS customers,
               EXISTS (SELECT FROM subscriptions
                       WHERE tenant_id = $1 AND customer_id = (SELECT id FROM customer)) AS has_subscribed,
               EXISTS (SELECT FROM invoices
                       WHERE tenant_id = $1 AND customer_id = (SELECT id FROM customer)) AS has_invoices,
               ARRAY (SELECT ROW (id, reference, seller::text, language, time_zone, vat_due, tax_rate_id,
                                  payment_terms_days, invoice_number_format, credit_note_number_format,
                                  is_default, created_at)
                      FROM entity) AS entities,
               ARRAY (SELECT ROW (id, reference, name, category, rate_ppm, reason, created_at)
                      FROM tax_rates
                      WHERE tenant_id = $1
                        AND (id = $6 OR reference = $7 OR id IN (SELECT tax_rate_id FROM customer)
                             OR id IN (SELECT tax_rate_id FROM entity)
                             OR id IN (SELECT tax_rate_id FROM plan))) AS tax_rates,
               ARRAY (SELECT ROW (id, reference, name, kind, version, interval_unit, interval_count,
                                  tax_rate_id, tax_behavior, meters::text, entitlements::text, trial_days,
                                  minimum_term::text, created_at)
                      FROM plan) AS plans,
               ARRAY (SELECT ROW (plan.id, r.id, r.model, r.currency, r.unit_price, r.package_size,
                                  r.tiers::text, r.setup_fee)
                      FROM plan
                      JOIN prices r ON r.tenant_id = $1 AND r.plan_id = plan.id AND r.version = plan.version
                      ORDER BY r.currency) AS prices,
               ARRAY (SELECT ROW (id, reference, name, lane, benefit::text, conditions::text, duration::text,
                                  at_end::text, max_redemptions, redeemed, max_per_customer, budget_minor,
                                  spent_minor, budget_currency, status, metadata::text, created_at,
                                  one_per_identity)
                      FROM offer) AS offers,
               ARRAY (SELECT ROW (normal_code, id, offer_id, coupon_batch_id, code, customer_id,
                                  max_redemptions, redeemed, expires_at, status, metadata, created_at,
                                  referrer_id, referrer_offer_id)
                      FROM coupon) AS coupons,
               ARRAY (SELECT ROW (offer_id, count(*),
                                  max(COALESCE(reserved_until, 'infinity'))
                                      FILTER (WHERE status = 'reserved'))
                      FROM redemptions
                      WHERE tenant_id = $1 AND customer_id = (SELECT id FROM customer)
                        AND offer_id IN (SELECT id FROM offer) AND status NOT IN ('released', 'expired')
                      GROUP BY offer_id) AS redemptions,
               ARRAY (SELECT DISTINCT offer_id
                      FROM redemption_identities
                      WHERE tenant_id = $1 AND digest = ANY ($13::bytea[])
                        AND offer_id IN (SELECT id FROM offer)) AS known,
               ARRAY (SELECT ROW (failures, counted_from)
                      FROM coupon_attempts
                      WHERE tenant_id = $1
                        AND who = COALESCE((SELECT reference FROM customer), $14)) AS attempts,
               ARRAY (SELECT ROW (percentages, comes_first, to_json(cumulative_lanes)::text)
                      FROM stacking_policies
                      WHERE tenant_id = $1) AS policies,
               (SELECT proration FROM settings WHERE tenant_id = $1) AS proration,
               (SELECT tax_behavior FROM settings WHERE tenant_id = $1) AS tax_behavior
        """,
        tx.tenant,
        _id_of(CustomerId, request.customer),
        request.customer,
        _id_of(LegalEntityId, newcomer.legal_entity),
        newcomer.legal_entity,
        _id_of(TaxRateId, newcomer.tax_rate),
        newcomer.tax_rate,
        [plan_id for key in plans if (plan_id := PlanId.read(key))],
        plans,
        [offer_id for key in request.offers if (offer_id := OfferId.read(key))],
        list(request.offers),
        [normal(code) for code in request.coupons],
        [each.digest for each in _digests(tx, newcomer)],
        request.customer or ANYBODY,
    )
    assert row is not None, "a SELECT without FROM has a row"
    return _read(row, newcomer)


def _id_of(kind: type[K], key: str | None) -> K | None:
    return None if key is None else kind.read(key)


def _digests(tx: Tx, newcomer: Newcomer) -> tuple[Digest, ...]:
    """Of who is no customer yet: what customers have had is counted."""
    return digests(newcomer.email, newcomer.vat_number, tenant=tx.tenant, secret=tx.secret)


def _read(row: Any, newcomer: Newcomer) -> Read:
    rates = [_tax_rate(each) for each in row["tax_rates"]]
    named = newcomer.tax_rate
    return Read(
        clock=row["clock"],
        customer=next(
            (load(dict(zip(_CUSTOMER, each, strict=True)), Customer) for each in row["customers"]), None
        ),
        has_subscribed=row["has_subscribed"],
        has_invoices=row["has_invoices"],
        entity=next(map(_entity, row["entities"]), None),
        tax_rates={rate.id: rate for rate in rates},
        own_rate=next((rate.id for rate in rates if named in (rate.reference, str(rate.id))), None),
        plans=tuple(_plans(row["plans"], row["prices"])),
        offers=tuple(map(_offer, row["offers"])),
        coupons={code: _coupon(each) for code, *each in row["coupons"]},
        redeemed={OfferId.of(offer_id): times for offer_id, times, _ in row["redemptions"]},
        reserved={OfferId.of(offer_id): until for offer_id, _, until in row["redemptions"] if until},
        known=frozenset(map(OfferId.of, row["known"])),
        attempts=next((Attempts(failures=times, counted_from=at) for times, at in row["attempts"]), None),
        policy=next(map(_policy, row["policies"]), Policy()),
        proration=Proration(row["proration"] or Proration.DAY),
        tax_behavior=TaxBehavior(row["tax_behavior"] or TaxBehavior.EXCLUSIVE),
    )


def _coupon(row: list[Any]) -> Coupon:
    return load(dict(zip(_COUPON, row, strict=True)), Coupon)


_COUPON = (
    "id offer_id coupon_batch_id code customer_id max_redemptions redeemed expires_at status "
    "metadata created_at referrer_id referrer_offer_id"
).split()
_CUSTOMER = (
    "id reference name email language address vat_number siren legal_entity_id tax_rate_id payment_method "
    "metadata created_at"
).split()
_entity = reader(
    LegalEntity,
    "id reference seller language time_zone vat_due tax_rate_id payment_terms_days invoice_number_format "
    "credit_note_number_format is_default created_at",
    documents=["seller"],
)


_policy = reader(Policy, "percentages order cumulative_lanes", documents=["cumulative_lanes"])
_tax_rate = reader(TaxRate, "id reference name category rate reason created_at")
_offer = reader(
    Offer,
    "id reference name lane benefit conditions duration at_end max_redemptions redeemed max_per_customer "
    "budget_minor spent_minor currency status metadata created_at one_per_identity",
    documents=["benefit", "conditions", "duration", "at_end", "metadata"],
)


def _plans(plans: Iterable[Inner], prices: Sequence[Inner]) -> Iterable[Plan]:
    of_plan: dict[Any, list[Inner]] = defaultdict(list)
    for plan_id, *price in prices:
        of_plan[plan_id].append(tuple(price))
    return (_plan(plan, tuple(of_plan[plan[0]])) for plan in plans)


@lru_cache(REMEMBERED)
def _plan(row: Inner, prices: tuple[Inner, ...]) -> Plan:
    values = dict(zip(_PLAN, row, strict=True))
    for document in ("meters", "entitlements", "minimum_term"):
        values[document] = values[document] and msgspec.json.decode(values[document])
    interval = Interval(Unit(values["interval_unit"]), values["interval_count"])
    return load(values, Plan, interval=interval, prices=tuple(map(_price, prices)))


_PLAN = (
    "id reference name kind version interval_unit interval_count tax_rate_id tax_behavior meters "
    "entitlements trial_days minimum_term created_at"
).split()
_price = reader(Price, "id model currency unit_price package_size tiers setup_fee", documents=["tiers"])
