"""Every SQL statement about charges."""

from collections import defaultdict
from collections.abc import Collection, Sequence

from billing.invoices.model import InvoiceId
from kernel.database import Tx
from kernel.errors import not_found
from kernel.paging import Page, Window, page_of
from kernel.structs import load
from subscriptions.bill import Bill
from subscriptions.model import Charge, ChargeId, SubscriptionId


async def insert(tx: Tx, charges: Sequence[Charge], *, invoice_id: InvoiceId | None) -> None:
    """Of one or more subscriptions, on this invoice or pending."""
    if not charges:
        return
    await tx.conn.execute(
        """
        INSERT INTO charges
            (tenant_id, id, subscription_id, plan_id, description, quantity, unit_price, currency,
             tax_rate_id, tax_behavior, discountable, created_at, invoice_id)
        SELECT $1, c.id, c.subscription_id, c.plan_id, c.description, c.quantity, c.unit_price, c.currency,
               c.tax_rate_id, c.tax_behavior, c.discountable, $12, $13
        FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::numeric[], $7::numeric[],
                    $8::text[], $9::uuid[], $10::text[], $11::boolean[])
             AS c (id, subscription_id, plan_id, description, quantity, unit_price, currency, tax_rate_id,
                   tax_behavior, discountable)
        """,
        tx.tenant,
        [charge.id for charge in charges],
        [charge.subscription_id for charge in charges],
        [charge.plan_id for charge in charges],
        [charge.description for charge in charges],
        [charge.quantity for charge in charges],
        [charge.unit_price for charge in charges],
        [charge.currency for charge in charges],
        [charge.tax_rate_id for charge in charges],
        [charge.tax_behavior for charge in charges],
        [charge.discountable for charge in charges],
        tx.now,
        invoice_id,
    )


async def pending_of(
    tx: Tx, subscription_ids: Collection[SubscriptionId]
) -> dict[SubscriptionId, list[Charge]]:
    """What waits for the next invoice of each, the oldest first."""
    rows = await tx.conn.fetch(
        """
        SELECT id, subscription_id, plan_id, description, quantity, unit_price, currency, tax_rate_id,
               tax_behavior, discountable, invoice_id, created_at
        FROM charges
        WHERE tenant_id = $1 AND subscription_id = ANY($2::uuid[]) AND invoice_id IS NULL
        ORDER BY subscription_id, id
        """,
        tx.tenant,
        subscription_ids,
    )
    pending: dict[SubscriptionId, list[Charge]] = defaultdict(list)
    for charge in (load(row, Charge) for row in rows):
        pending[charge.subscription_id].append(charge)
    return pending


async def bill(tx: Tx, bills: Sequence[Bill]) -> None:
    """What waited for these invoices waits no more. Its subscriptions have been locked."""
    billed = [(charge_id, bill.invoice.id) for bill in bills for charge_id in bill.charges]
    if not billed:
        return
    await tx.conn.execute(
        """
        UPDATE charges c
        SET invoice_id = b.invoice_id
        FROM unnest($2::uuid[], $3::uuid[]) AS b (id, invoice_id)
        WHERE c.tenant_id = $1 AND c.id = b.id
        """,
        tx.tenant,
        [charge_id for charge_id, _ in billed],
        [invoice_id for _, invoice_id in billed],
    )


async def count_pending(tx: Tx, subscription_id: SubscriptionId) -> int:
    pending: int = await tx.conn.fetchval(
        """
        SELECT count(*)
        FROM charges
        WHERE tenant_id = $1 AND subscription_id = $2 AND invoice_id IS NULL
        """,
        tx.tenant,
        subscription_id,
    )
    return pending


async def delete_pending(tx: Tx, charge_id: ChargeId) -> bool:
    """False when it has been billed, or deleted."""
    deleted = await tx.conn.fetchval(
        """
        DELETE FROM charges
        WHERE tenant_id = $1 AND id = $2 AND invoice_id IS NULL
        RETURNING id
        """,
        tx.tenant,
        charge_id,
    )
    return deleted is not None


async def get(tx: Tx, charge_id: ChargeId) -> Charge:
    row = await tx.conn.fetchrow(
        """
        SELECT id, subscription_id, plan_id, description, quantity, unit_price, currency, tax_rate_id,
               tax_behavior, discountable, invoice_id, created_at
        FROM charges
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        charge_id,
    )
    if row is None:
        raise not_found("charge", charge_id)
    return load(row, Charge)


async def page(tx: Tx, window: Window, *, subscription_id: SubscriptionId | None) -> Page[Charge]:
    rows = await tx.conn.fetch(
        """
        SELECT id, subscription_id, plan_id, description, quantity, unit_price, currency, tax_rate_id,
               tax_behavior, discountable, invoice_id, created_at
        FROM charges
        WHERE tenant_id = $1 AND id < $2 AND ($4::uuid IS NULL OR subscription_id = $4)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        subscription_id,
    )
    return page_of(rows, Charge, window)
