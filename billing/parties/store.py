"""Every SQL statement about legal entities, customers and a tenant's settings."""

from collections.abc import Collection

from billing.parties.model import (
    Customer,
    CustomerId,
    LegalEntity,
    LegalEntityId,
    Settings,
    SettingsChange,
)
from billing.tax.model import TaxRateId
from kernel.database import Tx
from kernel.errors import Conflict, DomainError, not_found
from kernel.paging import Page, Window, page_of
from kernel.structs import Row, load, sent_fields

# ── Legal entities ──────────────────────────────────────────────────────────────────────────────────────


async def insert_legal_entity(tx: Tx, entity: LegalEntity) -> None:
    inserted = await tx.conn.fetchval(
        """
        INSERT INTO legal_entities
            (tenant_id, id, reference, seller, language, time_zone, vat_due, tax_rate_id,
             payment_terms_days, invoice_number_format, credit_note_number_format, is_default,
             created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (tenant_id, reference) DO NOTHING
        RETURNING id
        """,
        tx.tenant,
        entity.id,
        entity.reference,
        entity.seller,
        entity.language,
        entity.time_zone,
        entity.vat_due,
        entity.tax_rate_id,
        entity.payment_terms_days,
        entity.invoice_number_format,
        entity.credit_note_number_format,
        entity.is_default,
        entity.created_at,
    )
    if inserted is None:
        raise Conflict(
            "reference_taken",
            f"There is a legal entity {entity.reference!r} already.",
            param="reference",
        )


async def lock_default_entity(tx: Tx) -> LegalEntityId | None:
    """The default entity. Adding sellers takes turns, also while there is none whose row could be locked."""
    await tx.conn.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"{tx.tenant} sellers")
    row = await tx.conn.fetchrow(
        """
        SELECT id
        FROM legal_entities
        WHERE tenant_id = $1 AND is_default
        """,
        tx.tenant,
    )
    return LegalEntityId.of(row["id"]) if row else None


async def clear_default_entity(tx: Tx) -> None:
    await tx.conn.execute(
        """
        UPDATE legal_entities
        SET is_default = false
        WHERE tenant_id = $1 AND is_default
        """,
        tx.tenant,
    )


async def legal_entity(tx: Tx, key: str | LegalEntityId) -> LegalEntity:
    """By id or by reference."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, reference, seller, language, time_zone, vat_due, tax_rate_id, payment_terms_days,
               invoice_number_format, credit_note_number_format, is_default, created_at
        FROM legal_entities
        WHERE tenant_id = $1 AND (id = $2 OR reference = $3)
        """,
        tx.tenant,
        LegalEntityId.read(key),
        str(key),
    )
    if row is None:
        raise not_found("legal entity", key)
    return load(row, LegalEntity)


async def legal_entities(tx: Tx, window: Window) -> Page[LegalEntity]:
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, seller, language, time_zone, vat_due, tax_rate_id, payment_terms_days,
               invoice_number_format, credit_note_number_format, is_default, created_at
        FROM legal_entities
        WHERE tenant_id = $1 AND id < $2
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return page_of(rows, LegalEntity, window)


async def legal_entities_of(
    tx: Tx, entity_ids: Collection[LegalEntityId]
) -> dict[LegalEntityId, LegalEntity]:
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, seller, language, time_zone, vat_due, tax_rate_id, payment_terms_days,
               invoice_number_format, credit_note_number_format, is_default, created_at
        FROM legal_entities
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        """,
        tx.tenant,
        list(entity_ids),
    )
    return {entity.id: entity for entity in (load(row, LegalEntity) for row in rows)}


async def seller_for(
    tx: Tx, *, entity: str | None, tax_rate: str | None
) -> tuple[LegalEntity, TaxRateId | None, bool]:
    """What a new customer needs: the seller named or the default one, the rate named, and whether there is
    a provider to charge them through."""
    row = await tx.conn.fetchrow(
        """
        SELECT e.id, e.reference, e.seller, e.language, e.time_zone, e.vat_due, e.tax_rate_id,
               e.payment_terms_days, e.invoice_number_format, e.credit_note_number_format, e.is_default,
               e.created_at, r.id AS own_tax_rate_id, t.mode IS DISTINCT FROM 'live' OR EXISTS (
                   SELECT FROM payment_connections c WHERE c.tenant_id = $1 AND c.status <> 'disconnected'
               ) AS has_gateway
        FROM legal_entities e
        LEFT JOIN tax_rates r ON r.tenant_id = $1 AND (r.id = $4 OR r.reference = $5)
        LEFT JOIN tenants t ON t.id = e.tenant_id
        WHERE e.tenant_id = $1 AND (CASE WHEN $3::text IS NULL THEN e.is_default
                                         ELSE e.id = $2 OR e.reference = $3 END)
        """,
        tx.tenant,
        entity and LegalEntityId.read(entity),
        entity,
        tax_rate and TaxRateId.read(tax_rate),
        tax_rate,
    )
    if row is None:
        raise no_seller(entity)
    if tax_rate is not None and row["own_tax_rate_id"] is None:
        raise not_found("tax rate", tax_rate)
    own = TaxRateId.of(row["own_tax_rate_id"]) if row["own_tax_rate_id"] else None
    return load(row, LegalEntity), own, row["has_gateway"]


def no_seller(key: str | None) -> DomainError:
    if key is not None:
        return not_found("legal entity", key)
    return Conflict(
        "legal_entity_missing", "Documents need a seller: create one with POST /v1/legal_entities first."
    )


# ── Customers ───────────────────────────────────────────────────────────────────────────────────────────


async def insert_customer(tx: Tx, customer: Customer) -> bool:
    """False when the reference is taken; a transaction that is still adding it is waited for."""
    inserted = await tx.conn.fetchval(
        """
        INSERT INTO customers
            (tenant_id, id, reference, name, email, language, address, vat_number, siren, legal_entity_id,
             tax_rate_id, payment_method, metadata, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
        ON CONFLICT (tenant_id, reference) DO NOTHING
        RETURNING id
        """,
        tx.tenant,
        customer.id,
        customer.reference,
        customer.name,
        customer.email,
        customer.language,
        customer.address,
        customer.vat_number,
        customer.siren,
        customer.legal_entity_id,
        customer.tax_rate_id,
        customer.payment_method,
        customer.metadata,
        customer.created_at,
    )
    return inserted is not None


async def update_customer(tx: Tx, customer: Customer) -> None:
    await tx.conn.execute(
        """
        UPDATE customers
        SET name = $3, email = $4, language = $5, address = $6, vat_number = $7, siren = $8,
            tax_rate_id = $9, payment_method = $10, metadata = $11, card_fingerprint = $12
        WHERE tenant_id = $1 AND id = $2
        """,
        tx.tenant,
        customer.id,
        customer.name,
        customer.email,
        customer.language,
        customer.address,
        customer.vat_number,
        customer.siren,
        customer.tax_rate_id,
        customer.payment_method,
        customer.metadata,
        customer.card_fingerprint,
    )


async def customer(tx: Tx, key: str | CustomerId) -> Customer:
    """By id or by the caller's reference."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, reference, name, email, language, address, vat_number, siren, legal_entity_id,
               tax_rate_id, payment_method, metadata, created_at, card_fingerprint
        FROM customers
        WHERE tenant_id = $1 AND (id = $2 OR reference = $3)
        """,
        tx.tenant,
        CustomerId.read(key),
        str(key),
    )
    if row is None:
        raise not_found("customer", key)
    return load(row, Customer)


async def customers_of(tx: Tx, customer_ids: Collection[CustomerId]) -> dict[CustomerId, Customer]:
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, name, email, language, address, vat_number, siren, legal_entity_id,
               tax_rate_id, payment_method, metadata, created_at, card_fingerprint
        FROM customers
        WHERE tenant_id = $1 AND id = ANY($2::uuid[])
        """,
        tx.tenant,
        list(customer_ids),
    )
    return {customer.id: customer for customer in (load(row, Customer) for row in rows)}


async def find_customers(tx: Tx, keys: Collection[str]) -> dict[str, CustomerId]:
    """Those of these ids and references that are there, by the key that named them."""
    rows = await tx.conn.fetch(
        """
        SELECT id, reference
        FROM customers
        WHERE tenant_id = $1 AND (id = ANY($2::uuid[]) OR reference = ANY($3::text[]))
        """,
        tx.tenant,
        [read for read in map(CustomerId.read, keys) if read],
        list(keys),
    )
    named = {}
    for row in rows:
        customer_id = CustomerId.of(row["id"])
        named[str(customer_id)] = named[row["reference"]] = customer_id
    return {key: named[key] for key in keys if key in named}


async def lock_customer(tx: Tx, key: str | CustomerId) -> Customer:
    """The first lock of every verb that changes what a customer has."""
    row = await tx.conn.fetchrow(
        """
        SELECT id, reference, name, email, language, address, vat_number, siren, legal_entity_id,
               tax_rate_id, payment_method, metadata, created_at, card_fingerprint
        FROM customers
        WHERE tenant_id = $1 AND (id = $2 OR reference = $3)
        FOR NO KEY UPDATE
        """,
        tx.tenant,
        CustomerId.read(key),
        str(key),
    )
    if row is None:
        raise not_found("customer", key)
    return load(row, Customer)


async def has_customers(tx: Tx) -> bool:
    return bool(
        await tx.conn.fetchval("SELECT EXISTS (SELECT FROM customers WHERE tenant_id = $1)", tx.tenant)
    )


async def customers(tx: Tx, window: Window) -> Page[Customer]:
    rows = await tx.conn.fetch(
        """
        SELECT id, reference, name, email, language, address, vat_number, siren, legal_entity_id,
               tax_rate_id, payment_method, metadata, created_at, card_fingerprint
        FROM customers
        WHERE tenant_id = $1 AND id < $2
        ORDER BY id DESC
        LIMIT $3
        """,
        tx.tenant,
        window.before,
        window.rows,
    )
    return page_of(rows, Customer, window)


# ── Settings ────────────────────────────────────────────────────────────────────────────────────────────


async def settings(tx: Tx) -> Settings:
    """What the tenant has set, or what holds until it does."""
    row = await tx.conn.fetchrow(
        """
        SELECT refund_mode, refund_after_days, proration, tax_behavior, dunning_automatic,
               dunning_send_invoice, provider_refunds, settle_credit_notes
        FROM settings
        WHERE tenant_id = $1
        """,
        tx.tenant,
    )
    return _settings(row) if row else Settings()


async def change_settings(tx: Tx, change: SettingsChange) -> Settings:
    """In one statement, so that two changes at once both hold."""
    sent, unset = sent_fields(change), Settings()
    row = await tx.conn.fetchrow(
        """
        INSERT INTO settings AS s
            (tenant_id, refund_mode, refund_after_days, proration, tax_behavior, dunning_automatic,
             dunning_send_invoice, provider_refunds, settle_credit_notes)
        VALUES ($1, COALESCE($2, $8), COALESCE($3::int, $9), COALESCE($4, $10), COALESCE($5, $11), $6::jsonb,
                $7::jsonb, $12, $13)
        ON CONFLICT (tenant_id) DO UPDATE
        SET refund_mode          = COALESCE($2, s.refund_mode),
            refund_after_days    = COALESCE($3::int, s.refund_after_days),
            proration            = COALESCE($4, s.proration),
            tax_behavior         = COALESCE($5, s.tax_behavior),
            dunning_automatic    = COALESCE($6::jsonb, s.dunning_automatic),
            dunning_send_invoice = COALESCE($7::jsonb, s.dunning_send_invoice),
            provider_refunds     = COALESCE($12, s.provider_refunds),
            settle_credit_notes  = COALESCE($13, s.settle_credit_notes)
        RETURNING refund_mode, refund_after_days, proration, tax_behavior, dunning_automatic,
                  dunning_send_invoice, provider_refunds, settle_credit_notes
        """,
        tx.tenant,
        sent.get("refund_mode"),
        sent.get("refund_after_days"),
        sent.get("proration"),
        sent.get("tax_behavior"),
        sent.get("dunning_automatic"),
        sent.get("dunning_send_invoice"),
        unset.refund_mode,
        unset.refund_after_days,
        unset.proration,
        unset.tax_behavior,
        sent.get("provider_refunds"),
        sent.get("settle_credit_notes"),
    )
    assert row is not None, "an upsert returns its row"
    return _settings(row)


def _settings(row: Row) -> Settings:
    """What is null was never set."""
    return load({name: value for name, value in row.items() if value is not None}, Settings)


# ── The payment provider ────────────────────────────────────────────────────────────────────────────────


async def has_gateway(tx: Tx) -> bool:
    """Test tenants have the sandbox; live ones have none until a provider is connected."""
    found: bool = await tx.conn.fetchval(
        """
        SELECT COALESCE((SELECT mode FROM tenants WHERE id = $1), 'test') <> 'live'
            OR EXISTS (SELECT FROM payment_connections WHERE tenant_id = $1 AND status <> 'disconnected')
        """,
        tx.tenant,
    )
    return found
