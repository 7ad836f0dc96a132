"""A mixed population: every price model, metered or not, with and without each kind of offer, due at once.

Thousands of them are copies, made by PostgreSQL: a row is copied as a whole, whatever columns it has.
"""

from datetime import timedelta
from itertools import product
from typing import Any

import asyncpg

from billing.tax.model import TaxBehavior
from kernel.database import Tx
from kernel.decimals import Quantity, UnitPrice
from promotions.create_offer import create_offer
from promotions.model import AtEnd, Days, Forever, Months, NewOffer, Periods
from subscriptions.add_charge import add_charge
from subscriptions.grant_offer import grant_offer
from subscriptions.meters.model import Aggregation
from subscriptions.model import NewGrant, NewMeterPrice, NewPrice, PriceModel, Subscription, Tier
from subscriptions.sign_up import sign_up
from tests.makers import EUR
from tests.promotions.offers import a_new_offer, at_a_price, days, fixed, free_units, percent
from tests.shop import a_shop, at
from tests.subscriptions.metering import a_meter, a_record, used
from tests.subscriptions.plans import a_charge, a_plan, a_price, a_signup, an_addon, beside

TIERS = (
    Tier(up_to=Quantity(5), unit_price=UnitPrice("9.90"), flat_price=UnitPrice("3.00")),
    Tier(up_to=Quantity(10), unit_price=UnitPrice("7.77")),
    Tier(unit_price=UnitPrice("0.333")),
)
PRICES = {
    "flat": NewPrice(currency=EUR, unit_price=UnitPrice("29.99")),
    "per-unit": NewPrice(currency=EUR, model=PriceModel.PER_UNIT, unit_price=UnitPrice("4.013")),
    "package": NewPrice(
        currency=EUR, model=PriceModel.PACKAGE, unit_price=UnitPrice("12.50"), package_size=Quantity(5)
    ),
    "setup": NewPrice(currency=EUR, unit_price=UnitPrice("19.00"), setup_fee=UnitPrice("49.49")),
    "volume": NewPrice(currency=EUR, model=PriceModel.VOLUME, tiers=TIERS),
    "graduated": NewPrice(currency=EUR, model=PriceModel.GRADUATED, tiers=TIERS),
    "gross": NewPrice(currency=EUR, model=PriceModel.GRADUATED, tiers=TIERS),
    "metered": NewPrice(currency=EUR, unit_price=UnitPrice("19.00")),
}
METERS = {
    "calls": (Aggregation.SUM, NewMeterPrice(currency=EUR, unit_price=UnitPrice("0.013"))),
    "peak": (Aggregation.MAX, NewMeterPrice(currency=EUR, model=PriceModel.GRADUATED, tiers=TIERS)),
    "stored": (Aggregation.LAST, NewMeterPrice(currency=EUR, model=PriceModel.VOLUME, tiers=TIERS)),
    "people": (
        Aggregation.UNIQUE,
        NewMeterPrice(
            currency=EUR,
            model=PriceModel.PACKAGE,
            unit_price=UnitPrice("5.00"),
            package_size=Quantity(2),
        ),
    ),
}
ADDONS = {"flat": [beside("seats", "3"), beside("support")], "volume": [beside("support")]}
OFFERS: dict[str, NewOffer] = {
    "LAUNCH": a_new_offer(percent("33.3"), reference="LAUNCH", duration=Forever()),
    "TENNER": a_new_offer(fixed(10_00), reference="TENNER", duration=Periods(count=2), remind_days_before=5),
    "HELLO": a_new_offer(percent("50"), reference="HELLO"),
    "SHORT": a_new_offer(percent("10"), reference="SHORT", at_end=AtEnd.END),
    "TRIAL": a_new_offer(days(31), reference="TRIAL"),
    "WHOLE": a_new_offer(percent("100"), reference="WHOLE", duration=Forever()),
    "DAYS": a_new_offer(percent("25"), reference="DAYS", duration=Days(count=45)),
    "PRICE": a_new_offer(at_a_price(9_00), reference="PRICE", duration=Months(count=2)),
    "UNITS": a_new_offer(free_units("2"), reference="UNITS", duration=Forever()),
}
LOYAL = a_new_offer(percent("7.5"), reference="LOYAL", duration=Forever(), lane=1)
LAST_BILLS = 3  # of those that end with their offer: one for what it used, two for a charge that waits


async def a_population(tx: Tx) -> list[Subscription]:
    """One of each price model with each offer and with none: all are due after 31 days.

    For a third of them a charge waits, beside the setup fees of those that are in a trial.
    """
    await a_shop(tx)
    for meter, (aggregation, _) in METERS.items():
        await a_meter(tx, meter, aggregation)
    for reference, price in PRICES.items():
        with_vat = TaxBehavior.INCLUSIVE if reference == "gross" else None
        metered = {name: priced for name, (_, priced) in METERS.items()} if reference == "metered" else {}
        await a_plan(tx, reference, price, meters=metered, tax_behavior=with_vat)
    await an_addon(tx)
    await an_addon(tx, "support", a_price("15.15"))
    for offer in (*OFFERS.values(), LOYAL):
        await create_offer(tx, offer)
    subscriptions = [
        (
            await sign_up(
                tx,
                a_signup(
                    customer=f"user-{plan}-{offer}".lower(),
                    plan=plan,
                    offer=offer,
                    quantity="1" if plan in ("flat", "setup", "metered") else "12",
                    addons=ADDONS.get(plan, ()),
                ),
            )
        ).subscription
        for plan, offer in product(PRICES, [None, *OFFERS])
    ]
    for number, subscription in enumerate(subscriptions[::3]):
        await add_charge(tx, subscription.id, a_charge("7.35", discountable=bool(number % 2)))
    for subscription in subscriptions[::5]:
        await grant_offer(tx, subscription.id, NewGrant(offer="LOYAL"))
    await _use(at(tx, tx.now + timedelta(days=11)), subscriptions)
    return subscriptions


async def _use(tx: Tx, subscriptions: list[Subscription]) -> None:
    """All but every third have used something, those whose plan has no meter as well."""
    records = [
        a_record(f"{number}-{meter}-{n}", meter, of=subscription, units=number + n)
        for number, subscription in enumerate(subscriptions)
        for meter in METERS
        for n in range(3)
        if number % 3
    ]
    await used(tx, *records)


async def documents(tx: Tx) -> list[Any]:
    """Every invoice by whose it is, with its lines, taxes and ledger: all but ids and numbers."""
    rows = await tx.conn.fetch(
        """
        SELECT c.reference, i.issued_on, i.due_on, i.buyer, i.net_minor, i.tax_minor, i.total_minor,
               s.status, u.status AS subscription, u.period_number, u.next_billing_at,
               (SELECT jsonb_agg(jsonb_build_array(r.periods_used, r.status, r.given_minor, r.served_at)
                                 ORDER BY r.id)
                FROM redemptions r WHERE r.id = ANY(u.redemption_ids)) AS redemptions,
               (SELECT jsonb_agg(to_jsonb(l) - 'id' - 'invoice_id' - 'tenant_id' ORDER BY position)
                FROM invoice_lines l WHERE l.invoice_id = i.id) AS lines,
               (SELECT jsonb_agg(to_jsonb(t) - 'invoice_id' - 'tenant_id' ORDER BY category, rate_ppm)
                FROM invoice_taxes t WHERE t.invoice_id = i.id) AS taxes,
               (SELECT jsonb_agg(jsonb_build_array(account, tax_rate_ppm, amount_minor, booked_on)
                                 ORDER BY account, tax_rate_ppm, amount_minor)
                FROM ledger_entries e WHERE e.invoice_id = i.id) AS ledger
        FROM invoices i
        JOIN customers c ON c.id = i.customer_id
        JOIN invoice_settlements s ON s.invoice_id = i.id
        JOIN subscription_invoices p ON p.invoice_id = i.id
        JOIN subscriptions u ON u.id = p.subscription_id
        ORDER BY c.reference, p.period_start, p.change_number
        """
    )
    return [tuple(row.values()) for row in rows]


async def keep_originals(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    """What copies are made of, as it is now, of every tenant; they themselves are over, and not billed."""
    await owner.execute(
        """
        CREATE TEMP TABLE originals AS
        SELECT s.tenant_id, row_number() OVER (PARTITION BY s.tenant_id ORDER BY s.id) - 1 AS kind,
               c AS customer, r AS redemption, s AS subscription
        FROM subscriptions s
        JOIN customers c ON c.tenant_id = s.tenant_id AND c.id = s.customer_id
        LEFT JOIN redemptions r ON r.tenant_id = s.tenant_id AND r.id = s.redemption_ids[1]
        """
    )
    await owner.execute(
        "CREATE TEMP TABLE copies (id uuid PRIMARY KEY, tenant_id uuid, kind bigint, n integer)"
    )
    await owner.execute("UPDATE subscriptions SET status = 'cancelled', next_billing_at = NULL")


async def add_copies(owner: "asyncpg.Connection[asyncpg.Record]", count: int) -> None:
    """So many in each tenant, each with a customer of its own, one second after the other."""
    await owner.execute(
        """
        WITH copy AS (
            INSERT INTO copies
            SELECT gen_random_uuid(), o.tenant_id, o.kind, b.before + n
            FROM (SELECT count(*) AS before FROM copies) b
            CROSS JOIN generate_series(1, $1) n
            JOIN originals o ON o.kind = n % (SELECT max(kind) + 1 FROM originals)
            RETURNING id, tenant_id, kind, n
        ), made AS (
            SELECT k.id, k.n, k.n % 3600 * interval '1 second' AS later, o.customer, o.redemption,
                   o.subscription, gen_random_uuid() AS customer_id, gen_random_uuid() AS redemption_id,
                   (SELECT (array_agg(e.id ORDER BY e.id))[1 + k.n / 7 % count(*)]
                    FROM legal_entities e WHERE e.tenant_id = o.tenant_id) AS legal_entity_id
            FROM copy k JOIN originals o ON o.tenant_id = k.tenant_id AND o.kind = k.kind
        ), customer AS (
            INSERT INTO customers
            SELECT c.*
            FROM made m CROSS JOIN jsonb_populate_record(m.customer, jsonb_build_object(
                'id', customer_id, 'reference', 'copy-' || n, 'legal_entity_id', legal_entity_id)) c
        ), redemption AS (
            INSERT INTO redemptions
            SELECT r.*
            FROM made m CROSS JOIN jsonb_populate_record(m.redemption, jsonb_build_object(
                'id', redemption_id, 'customer_id', customer_id)) r
            WHERE (m.redemption).id IS NOT NULL
        )
        INSERT INTO subscriptions
        SELECT s.*
        FROM made m CROSS JOIN jsonb_populate_record(m.subscription, jsonb_build_object(
            'id', id,
            'customer_id', customer_id,
            'redemption_ids', CASE WHEN (m.redemption).id IS NULL THEN ARRAY[]::uuid[]
                                   ELSE ARRAY[redemption_id] END,
            'anchor_at', (m.subscription).anchor_at + later,
            'current_period_start', (m.subscription).current_period_start + later,
            'current_period_end', (m.subscription).current_period_end + later,
            'trial_ends_at', (m.subscription).trial_ends_at + later,
            'next_billing_at', (m.subscription).next_billing_at + later)) s
        """,
        count,
    )
