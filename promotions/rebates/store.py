"""Every SQL statement about rebate contracts and what was settled of them."""

from collections.abc import Sequence
from datetime import date

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.errors import Conflict, not_found
from kernel.paging import Page, Window, page_of
from kernel.structs import load
from promotions.rebates.model import RebateAccrual, RebateContract, RebateContractId, RebateSettlement

# ── Contracts ───────────────────────────────────────────────────────────────────────────────────────────


async def insert(tx: Tx, contract: RebateContract) -> None:
    inserted = await tx.conn.fetchval(
        """
        INSERT INTO rebate_contracts
            (tenant_id, id, reference, name, currency, customers, customer_metadata, items, period, basis,
             mode, tiers, refund, when_negative, starts_on, ends_on, metadata, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)
        ON CONFLICT (tenant_id, reference) DO NOTHING
        RETURNING id
        """,
        tx.tenant,
        contract.id,
        contract.reference,
        contract.name,
        contract.currency,
        contract.customers,
        contract.customer_metadata,
        contract.items,
        contract.period,
        contract.basis,
        contract.mode,
        contract.tiers,
        contract.refund,
        contract.when_negative,
        contract.starts_on,
        contract.ends_on,
        contract.metadata,
        contract.created_at,
    )
    if inserted is None:
        raise Conflict(
            "reference_taken", f"There is a rebate {contract.reference!r} already.", param="reference"
        )


async def update(tx: Tx, contract: RebateContract) -> None:
    await tx.conn.execute(
        """
        UPDATE rebate_contracts
        SET name = $3, ends_on = $4, refund = $5, when_negative = $6, metadata = $7
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        contract.id,
        contract.name,
        contract.ends_on,
        contract.refund,
        contract.when_negative,
        contract.metadata,
    )


async def get(tx: Tx, key: str | RebateContractId) -> RebateContract:
    """By id or by reference."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, reference, name, currency, customers, customer_metadata, items, period, basis, mode,
               tiers, refund, when_negative, starts_on, ends_on, metadata, created_at
        FROM rebate_contracts
        WHERE tenant_id = $1 AND (id = $2 OR reference = $3)
        """,
        tx.tenant,
        RebateContractId.read(key),
        str(key),
    )
    if row is None:
        raise not_found("rebate", key)
    return load(row, RebateContract)


async def lock(tx: Tx, key: str | RebateContractId) -> RebateContract:
    """The first of all locks: two settlements of one contract take turns."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, reference, name, currency, customers, customer_metadata, items, period, basis, mode,
               tiers, refund, when_negative, starts_on, ends_on, metadata, created_at
        FROM rebate_contracts
        WHERE tenant_id = $1 AND (id = $2 OR reference = $3)
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        RebateContractId.read(key),
        str(key),
    )
    if row is None:
        raise not_found("rebate", key)
    return load(row, RebateContract)


async def page(tx: Tx, window: Window) -> Page[RebateContract]:
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, name, currency, customers, customer_metadata, items, period, basis, mode,
               tiers, refund, when_negative, starts_on, ends_on, metadata, created_at
        FROM rebate_contracts
        WHERE tenant_id = $1 AND id < $2
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return page_of(rows, RebateContract, window)


async def members(tx: Tx, contract: RebateContract) -> tuple[CustomerId, ...]:
    """Whom it is with: those named, or those who have its metadata now."""
    rows = await tx.conn.fetch(
        """
        SELECT id
        FROM customers
        WHERE tenant_id = $1 AND (id = ANY($2::uuid[]) OR $3::jsonb <> '{}' AND metadata @> $3::jsonb)
        ORDER BY id
        """,
        tx.tenant,
        contract.customers,
        contract.customer_metadata,
    )
    return tuple(CustomerId.of(row["id"]) for row in rows)


async def lock_members(tx: Tx, contract: RebateContract) -> tuple[CustomerId, ...]:
    """The same, one after the other: what they are billed and credited otherwise takes turns with this."""
    rows = await tx.conn.fetch(
        """
        SELECT id
        FROM customers
        WHERE tenant_id = $1 AND (id = ANY($2::uuid[]) OR $3::jsonb <> '{}' AND metadata @> $3::jsonb)
        ORDER BY id
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        contract.customers,
        contract.customer_metadata,
    )
    return tuple(CustomerId.of(row["id"]) for row in rows)


# ── Settlements ─────────────────────────────────────────────────────────────────────────────────────────


async def insert_settlement(tx: Tx, settlement: RebateSettlement) -> None:
    await tx.conn.execute(
        """
        INSERT INTO rebate_settlements
            (tenant_id, id, contract_id, customer_id, starts_on, ends_on, currency, volume_minor, quantity,
             earned_minor, net_minor, credit_note_id, invoice_id, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        """,
        tx.tenant,
        settlement.id,
        settlement.contract_id,
        settlement.customer_id,
        settlement.starts_on,
        settlement.ends_on,
        settlement.currency,
        settlement.volume.minor,
        settlement.quantity,
        settlement.earned.minor,
        settlement.net.minor,
        settlement.credit_note_id,
        settlement.invoice_id,
        settlement.created_at,
    )


async def settlements_of(tx: Tx, contract_id: RebateContractId) -> list[RebateSettlement]:
    """All of them: a note and a customer at most for each time a period was settled."""
    rows = await tx.conn.fetch(
        """
        SELECT id, contract_id, customer_id, starts_on, ends_on, currency, volume_minor, quantity,
               earned_minor, net_minor, credit_note_id, invoice_id, created_at
        FROM rebate_settlements
        WHERE tenant_id = $1 AND contract_id = $2
        ORDER BY id
        """,
        tx.tenant,
        contract_id,
    )
    return [load(row, RebateSettlement) for row in rows]


async def taken_back_from(tx: Tx, customer_ids: Sequence[CustomerId]) -> tuple[InvoiceId, ...]:
    """The invoices that are nothing that was bought: rebates of any programme were taken back by them, or
    credit notes that had taken nothing off the volume."""
    rows = await tx.conn.fetch(
        """
        SELECT invoice_id
        FROM rebate_settlements
        WHERE tenant_id = $1 AND customer_id = ANY($2::uuid[]) AND invoice_id IS NOT NULL
        UNION
        SELECT s.reversed_by
        FROM credit_notes c
        JOIN credit_note_settlements s ON s.tenant_id = c.tenant_id AND s.credit_note_id = c.id
        WHERE c.tenant_id = $1 AND c.customer_id = ANY($2::uuid[]) AND s.reversed_by IS NOT NULL
          AND (c.invoice_id IS NULL OR c.reason IN ('rebate', 'early_payment'))
        ORDER BY invoice_id
        """,
        tx.tenant,
        customer_ids,
    )
    return tuple(InvoiceId.of(row["invoice_id"]) for row in rows)


async def settlement_page(
    tx: Tx, window: Window, *, contract_id: RebateContractId | None, customer_id: CustomerId | None
) -> Page[RebateSettlement]:
    rows = await tx.conn.fetch(
        """
        SELECT id, contract_id, customer_id, starts_on, ends_on, currency, volume_minor, quantity,
               earned_minor, net_minor, credit_note_id, invoice_id, created_at
        FROM rebate_settlements
        WHERE tenant_id = $1
          AND id < $2
          AND ($4::uuid IS NULL OR contract_id = $4)
          AND ($5::uuid IS NULL OR customer_id = $5)
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
        contract_id,
        customer_id,
    )
    return page_of(rows, RebateSettlement, window)


# ── Closings ────────────────────────────────────────────────────────────────────────────────────────────


async def insert_accrual(tx: Tx, accrual: RebateAccrual) -> None:
    await tx.conn.execute(
        """
        INSERT INTO rebate_accruals
            (tenant_id, id, contract_id, accrued_on, currency, net_minor, tax_minor, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        """,
        tx.tenant,
        accrual.id,
        accrual.contract_id,
        accrual.accrued_on,
        accrual.currency,
        accrual.net.minor,
        accrual.tax.minor,
        accrual.created_at,
    )


async def find_accrual(tx: Tx, contract_id: RebateContractId, accrued_on: date) -> RebateAccrual | None:
    row = await tx.conn.fetchrow(
        """
        SELECT id, contract_id, accrued_on, currency, net_minor, tax_minor, created_at
        FROM rebate_accruals
        WHERE tenant_id = $1 AND contract_id = $2 AND accrued_on = $3
        """,
        tx.tenant,
        contract_id,
        accrued_on,
    )
    return load(row, RebateAccrual) if row else None
