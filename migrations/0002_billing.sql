-- Sellers, buyers, documents, settlement, money and the ledger.
-- What is issued is granted SELECT and INSERT; what changes after issue lives in the settlement tables.

CREATE TABLE settings (
    tenant_id   uuid NOT NULL CONSTRAINT settings_pk PRIMARY KEY,
    refund_mode text NOT NULL
        CONSTRAINT settings_refund_mode CHECK (refund_mode IN ('automatic', 'manual', 'deferred', 'none')),
    refund_after_days integer NOT NULL
        CONSTRAINT settings_refund_after CHECK (refund_after_days BETWEEN 0 AND 366)
);
CALL tenant_table('settings', 'SELECT, INSERT, UPDATE (refund_mode, refund_after_days)');

CREATE TABLE tax_rates (
    tenant_id  uuid        NOT NULL,
    id         uuid        NOT NULL,
    reference  text        NOT NULL,
    name       text        NOT NULL,
    category   text        NOT NULL
        CONSTRAINT tax_rates_category CHECK (category IN ('S', 'Z', 'E', 'AE', 'K', 'G', 'O')),
    rate_ppm   integer     NOT NULL
        CONSTRAINT tax_rates_rate CHECK (rate_ppm BETWEEN 0 AND 1000000),
    reason     text        NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT tax_rates_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT tax_rates_reference UNIQUE (tenant_id, reference),
    CONSTRAINT tax_rates_only_standard_charges CHECK ((category = 'S') = (rate_ppm > 0)),
    CONSTRAINT tax_rates_zero_says_why CHECK (category IN ('S', 'Z') OR reason <> '')
);
CALL tenant_table('tax_rates', 'SELECT, INSERT');

CREATE TABLE legal_entities (
    tenant_id                 uuid        NOT NULL,
    id                        uuid        NOT NULL,
    reference                 text        NOT NULL,
    seller                    jsonb       NOT NULL,
    language                  text        NOT NULL CONSTRAINT legal_entities_language CHECK (language IN ('fr', 'en')),
    time_zone                 text        NOT NULL,
    vat_due                   text        NOT NULL
        CONSTRAINT legal_entities_vat_due CHECK (vat_due IN ('on_payment', 'on_invoice')),
    tax_rate_id               uuid        NOT NULL,
    payment_terms_days        integer     NOT NULL
        CONSTRAINT legal_entities_terms CHECK (payment_terms_days BETWEEN 0 AND 120),
    invoice_number_format     text        NOT NULL,
    credit_note_number_format text        NOT NULL,
    is_default                boolean     NOT NULL,
    created_at                timestamptz NOT NULL,
    CONSTRAINT legal_entities_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT legal_entities_reference UNIQUE (tenant_id, reference),
    CONSTRAINT legal_entities_tax_rate FOREIGN KEY (tenant_id, tax_rate_id) REFERENCES tax_rates
);
CREATE UNIQUE INDEX legal_entities_one_default ON legal_entities (tenant_id) WHERE is_default;
CALL tenant_table('legal_entities', 'SELECT, INSERT, UPDATE (is_default)');

CREATE TABLE customers (
    tenant_id       uuid        NOT NULL,
    id              uuid        NOT NULL,
    reference       text        NOT NULL,
    name            text        NOT NULL,
    email           text        NOT NULL,
    language        text        NOT NULL CONSTRAINT customers_language CHECK (language IN ('fr', 'en')),
    address         jsonb       NOT NULL,
    vat_number      text,
    siren           text,
    legal_entity_id uuid        NOT NULL,
    tax_rate_id     uuid,
    payment_method  text,
    metadata        jsonb       NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT customers_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT customers_reference UNIQUE (tenant_id, reference),
    CONSTRAINT customers_legal_entity FOREIGN KEY (tenant_id, legal_entity_id) REFERENCES legal_entities,
    CONSTRAINT customers_tax_rate FOREIGN KEY (tenant_id, tax_rate_id) REFERENCES tax_rates
);
CALL tenant_table('customers',
    'SELECT, INSERT, UPDATE (name, email, language, address, vat_number, siren, tax_rate_id, payment_method, metadata)');

-- ── Invoices ────────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE draft_invoices (
    tenant_id   uuid        NOT NULL,
    id          uuid        NOT NULL,
    customer_id uuid        NOT NULL,
    currency    text        NOT NULL,
    lines       jsonb       NOT NULL,
    discounts   jsonb       NOT NULL,
    note        text,
    metadata    jsonb       NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT draft_invoices_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT draft_invoices_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers
);
CALL tenant_table('draft_invoices',
    'SELECT, INSERT, UPDATE (customer_id, currency, lines, discounts, note, metadata), DELETE');

CREATE TABLE number_series (
    tenant_id       uuid    NOT NULL,
    legal_entity_id uuid    NOT NULL,
    kind            text    NOT NULL CONSTRAINT number_series_kind CHECK (kind IN ('invoice', 'credit_note')),
    year            integer NOT NULL,
    last_number     bigint  NOT NULL,
    last_issued_on  date    NOT NULL,
    CONSTRAINT number_series_pk PRIMARY KEY (tenant_id, legal_entity_id, kind, year),
    CONSTRAINT number_series_entity FOREIGN KEY (tenant_id, legal_entity_id) REFERENCES legal_entities
);
CALL tenant_table('number_series', 'SELECT, INSERT, UPDATE (last_number, last_issued_on)');

CREATE TABLE invoices (
    tenant_id       uuid        NOT NULL,
    id              uuid        NOT NULL,
    number          text        NOT NULL
        CONSTRAINT invoices_number_form CHECK (number ~ '^[A-Za-z0-9+_/-]{1,35}$'),
    legal_entity_id uuid        NOT NULL,
    customer_id     uuid        NOT NULL,
    currency        text        NOT NULL,
    language        text        NOT NULL,
    issued_on       date        NOT NULL,
    due_on          date        NOT NULL,
    seller          jsonb       NOT NULL,
    buyer           jsonb       NOT NULL,
    vat_due         text        NOT NULL,
    time_zone       text        NOT NULL,
    collection      text        NOT NULL
        CONSTRAINT invoices_collection CHECK (collection IN ('automatic', 'send_invoice')),
    net_minor       bigint      NOT NULL CONSTRAINT invoices_net CHECK (net_minor >= 0),
    tax_minor       bigint      NOT NULL CONSTRAINT invoices_tax CHECK (tax_minor >= 0),
    total_minor     bigint      NOT NULL,
    note            text,
    metadata        jsonb       NOT NULL,
    issued_at       timestamptz NOT NULL,
    CONSTRAINT invoices_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT invoices_number UNIQUE (tenant_id, legal_entity_id, number),
    CONSTRAINT invoices_total CHECK (total_minor = net_minor + tax_minor),
    CONSTRAINT invoices_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers,
    CONSTRAINT invoices_entity FOREIGN KEY (tenant_id, legal_entity_id) REFERENCES legal_entities
);
CREATE INDEX invoices_of_customer ON invoices (tenant_id, customer_id, id);
CALL tenant_table('invoices', 'SELECT, INSERT');

CREATE TABLE invoice_lines (
    tenant_id      uuid    NOT NULL,
    id             uuid    NOT NULL,
    invoice_id     uuid    NOT NULL,
    position       integer NOT NULL,
    description    text    NOT NULL,
    quantity       numeric(13, 6)  NOT NULL,
    unit_price     numeric(25, 12) NOT NULL,
    recurring      boolean NOT NULL,
    period_start   timestamptz,
    period_end     timestamptz,
    currency       text    NOT NULL,
    amount_minor   bigint  NOT NULL CONSTRAINT invoice_lines_amount CHECK (amount_minor >= 0),
    discount_minor bigint  NOT NULL CONSTRAINT invoice_lines_discount CHECK (discount_minor >= 0),
    net_minor      bigint  NOT NULL CONSTRAINT invoice_lines_net CHECK (net_minor >= 0),
    allowances     jsonb   NOT NULL,
    tax_category   text    NOT NULL,
    tax_rate_ppm   integer NOT NULL,
    tax_reason     text    NOT NULL,
    CONSTRAINT invoice_lines_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT invoice_lines_position UNIQUE (tenant_id, invoice_id, position),
    CONSTRAINT invoice_lines_sum CHECK (net_minor = amount_minor - discount_minor),
    CONSTRAINT invoice_lines_period CHECK ((period_start IS NULL) = (period_end IS NULL) AND period_start < period_end),
    CONSTRAINT invoice_lines_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
CALL tenant_table('invoice_lines', 'SELECT, INSERT');

CREATE TABLE invoice_taxes (
    tenant_id  uuid    NOT NULL,
    invoice_id uuid    NOT NULL,
    category   text    NOT NULL,
    rate_ppm   integer NOT NULL,
    reason     text    NOT NULL,
    currency   text    NOT NULL,
    base_minor bigint  NOT NULL,
    tax_minor  bigint  NOT NULL,
    CONSTRAINT invoice_taxes_pk PRIMARY KEY (tenant_id, invoice_id, category, rate_ppm, reason),
    CONSTRAINT invoice_taxes_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
CALL tenant_table('invoice_taxes', 'SELECT, INSERT');

-- The row that is locked. paid and offset are settled; pending is a payment in flight.
CREATE TABLE invoice_settlements (
    tenant_id      uuid   NOT NULL,
    invoice_id     uuid   NOT NULL,
    currency       text   NOT NULL,
    total_minor    bigint NOT NULL,
    paid_minor     bigint NOT NULL DEFAULT 0 CONSTRAINT invoice_settlements_paid CHECK (paid_minor >= 0),
    offset_minor   bigint NOT NULL DEFAULT 0 CONSTRAINT invoice_settlements_offset CHECK (offset_minor >= 0),
    pending_minor  bigint NOT NULL DEFAULT 0 CONSTRAINT invoice_settlements_pending CHECK (pending_minor >= 0),
    credited_minor bigint NOT NULL DEFAULT 0 CONSTRAINT invoice_settlements_credited CHECK (credited_minor >= 0),
    status         text   NOT NULL
        CONSTRAINT invoice_settlements_status CHECK (status IN ('open', 'partly_settled', 'settled', 'written_off')),
    settled_at     timestamptz,
    CONSTRAINT invoice_settlements_pk PRIMARY KEY (tenant_id, invoice_id),
    CONSTRAINT invoice_settlements_not_overpaid CHECK (paid_minor + offset_minor + pending_minor <= total_minor),
    CONSTRAINT invoice_settlements_not_overcredited CHECK (credited_minor <= total_minor),
    CONSTRAINT invoice_settlements_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
CALL tenant_table('invoice_settlements',
    'SELECT, INSERT, UPDATE (paid_minor, offset_minor, pending_minor, credited_minor, status, settled_at)');

-- ── Credit notes ────────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE credit_notes (
    tenant_id          uuid        NOT NULL,
    id                 uuid        NOT NULL,
    number             text        NOT NULL
        CONSTRAINT credit_notes_number_form CHECK (number ~ '^[A-Za-z0-9+_/-]{1,35}$'),
    legal_entity_id    uuid        NOT NULL,
    customer_id        uuid        NOT NULL,
    invoice_id         uuid        NOT NULL,
    invoice_number     text        NOT NULL,
    invoice_issued_on  date        NOT NULL,
    currency           text        NOT NULL,
    language           text        NOT NULL,
    issued_on          date        NOT NULL,
    seller             jsonb       NOT NULL,
    buyer              jsonb       NOT NULL,
    vat_due            text        NOT NULL,
    time_zone          text        NOT NULL,
    reason             text        NOT NULL
        CONSTRAINT credit_notes_reason CHECK (reason IN ('billing_error', 'cancellation', 'return_or_dispute',
            'commercial_gesture', 'rebate', 'early_payment', 'duplicate', 'fraud', 'other')),
    reason_text        text,
    refund_mode        text        NOT NULL
        CONSTRAINT credit_notes_refund_mode CHECK (refund_mode IN ('automatic', 'manual', 'deferred', 'none')),
    refund_on          date,
    to_invoice_minor   bigint      NOT NULL CONSTRAINT credit_notes_to_invoice CHECK (to_invoice_minor >= 0),
    to_provider_minor  bigint      NOT NULL CONSTRAINT credit_notes_to_provider CHECK (to_provider_minor >= 0),
    by_hand_minor      bigint      NOT NULL CONSTRAINT credit_notes_by_hand CHECK (by_hand_minor >= 0),
    to_balance_minor   bigint      NOT NULL CONSTRAINT credit_notes_to_balance CHECK (to_balance_minor >= 0),
    net_minor          bigint      NOT NULL CONSTRAINT credit_notes_net CHECK (net_minor >= 0),
    tax_minor          bigint      NOT NULL CONSTRAINT credit_notes_tax CHECK (tax_minor >= 0),
    total_minor        bigint      NOT NULL,
    metadata           jsonb       NOT NULL,
    issued_at          timestamptz NOT NULL,
    CONSTRAINT credit_notes_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT credit_notes_number UNIQUE (tenant_id, legal_entity_id, number),
    CONSTRAINT credit_notes_total CHECK (total_minor = net_minor + tax_minor),
    CONSTRAINT credit_notes_deferred_has_day
        CHECK ((refund_mode = 'deferred' AND to_provider_minor > 0) = (refund_on IS NOT NULL)),
    CONSTRAINT credit_notes_goes_somewhere
        CHECK (to_invoice_minor + to_provider_minor + by_hand_minor + to_balance_minor = total_minor),
    CONSTRAINT credit_notes_other_says_what CHECK (reason <> 'other' OR reason_text IS NOT NULL),
    CONSTRAINT credit_notes_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices,
    CONSTRAINT credit_notes_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers,
    CONSTRAINT credit_notes_entity FOREIGN KEY (tenant_id, legal_entity_id) REFERENCES legal_entities
);
CREATE INDEX credit_notes_of_invoice ON credit_notes (tenant_id, invoice_id, id);
CREATE INDEX credit_notes_of_customer ON credit_notes (tenant_id, customer_id, id);
CALL tenant_table('credit_notes', 'SELECT, INSERT');

CREATE TABLE credit_note_lines (
    tenant_id       uuid    NOT NULL,
    id              uuid    NOT NULL,
    credit_note_id  uuid    NOT NULL,
    invoice_line_id uuid    NOT NULL,
    position        integer NOT NULL,
    description     text    NOT NULL,
    quantity        numeric(13, 6),
    period_start    timestamptz,
    period_end      timestamptz,
    currency        text    NOT NULL,
    net_minor       bigint  NOT NULL CONSTRAINT credit_note_lines_net CHECK (net_minor >= 0),
    tax_category    text    NOT NULL,
    tax_rate_ppm    integer NOT NULL,
    tax_reason      text    NOT NULL,
    CONSTRAINT credit_note_lines_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT credit_note_lines_once UNIQUE (tenant_id, credit_note_id, invoice_line_id),
    CONSTRAINT credit_note_lines_note FOREIGN KEY (tenant_id, credit_note_id) REFERENCES credit_notes,
    CONSTRAINT credit_note_lines_source FOREIGN KEY (tenant_id, invoice_line_id) REFERENCES invoice_lines
);
CREATE INDEX credit_note_lines_of_source ON credit_note_lines (tenant_id, invoice_line_id);
CALL tenant_table('credit_note_lines', 'SELECT, INSERT');

CREATE TABLE credit_note_taxes (
    tenant_id      uuid    NOT NULL,
    credit_note_id uuid    NOT NULL,
    category       text    NOT NULL,
    rate_ppm       integer NOT NULL,
    reason         text    NOT NULL,
    currency       text    NOT NULL,
    base_minor     bigint  NOT NULL,
    tax_minor      bigint  NOT NULL,
    CONSTRAINT credit_note_taxes_pk PRIMARY KEY (tenant_id, credit_note_id, category, rate_ppm, reason),
    CONSTRAINT credit_note_taxes_note FOREIGN KEY (tenant_id, credit_note_id) REFERENCES credit_notes
);
CALL tenant_table('credit_note_taxes', 'SELECT, INSERT');

-- applied went to an invoice, refunded is back with the customer, held is promised or on its way back.
CREATE TABLE credit_note_settlements (
    tenant_id      uuid   NOT NULL,
    credit_note_id uuid   NOT NULL,
    currency       text   NOT NULL,
    total_minor    bigint NOT NULL,
    applied_minor  bigint NOT NULL DEFAULT 0 CONSTRAINT credit_note_settlements_applied CHECK (applied_minor >= 0),
    refunded_minor bigint NOT NULL DEFAULT 0 CONSTRAINT credit_note_settlements_refunded CHECK (refunded_minor >= 0),
    held_minor     bigint NOT NULL DEFAULT 0 CONSTRAINT credit_note_settlements_held CHECK (held_minor >= 0),
    promised_minor bigint NOT NULL DEFAULT 0 CONSTRAINT credit_note_settlements_promised CHECK (promised_minor >= 0),
    status         text   NOT NULL
        CONSTRAINT credit_note_settlements_status CHECK (status IN ('unused', 'partly_used', 'used')),
    CONSTRAINT credit_note_settlements_pk PRIMARY KEY (tenant_id, credit_note_id),
    CONSTRAINT credit_note_settlements_not_overused
        CHECK (applied_minor + refunded_minor + held_minor + promised_minor <= total_minor),
    CONSTRAINT credit_note_settlements_note FOREIGN KEY (tenant_id, credit_note_id) REFERENCES credit_notes
);
CALL tenant_table('credit_note_settlements',
    'SELECT, INSERT, UPDATE (applied_minor, refunded_minor, held_minor, promised_minor, status)');

-- ── Money in, and the edges of the settlement graph ─────────────────────────────────────────────────────

CREATE TABLE payments (
    tenant_id         uuid        NOT NULL,
    id                uuid        NOT NULL,
    customer_id       uuid        NOT NULL,
    invoice_id        uuid        NOT NULL,
    currency          text        NOT NULL,
    amount_minor      bigint      NOT NULL CONSTRAINT payments_amount CHECK (amount_minor > 0),
    refunded_minor    bigint      NOT NULL DEFAULT 0,
    status            text        NOT NULL
        CONSTRAINT payments_status CHECK (status IN ('pending', 'succeeded', 'failed')),
    means             text        NOT NULL
        CONSTRAINT payments_means CHECK (means IN ('provider', 'transfer', 'card', 'direct_debit', 'check', 'cash', 'other')),
    reference         text,
    received_on       date,
    gateway           text,
    gateway_reference text,
    payment_method    text,
    failure_code      text,
    created_at        timestamptz NOT NULL,
    CONSTRAINT payments_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT payments_refunded CHECK (refunded_minor BETWEEN 0 AND amount_minor),
    CONSTRAINT payments_provider_has_gateway CHECK ((means = 'provider') = (gateway IS NOT NULL)),
    CONSTRAINT payments_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers,
    CONSTRAINT payments_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
CREATE INDEX payments_of_invoice ON payments (tenant_id, invoice_id, id);
CREATE INDEX payments_of_customer ON payments (tenant_id, customer_id, id);
CALL tenant_table('payments',
    'SELECT, INSERT, UPDATE (refunded_minor, status, received_on, gateway_reference, failure_code)');

CREATE TABLE settlements (
    tenant_id      uuid        NOT NULL,
    id             uuid        NOT NULL,
    invoice_id     uuid        NOT NULL,
    payment_id     uuid,
    credit_note_id uuid,
    currency       text        NOT NULL,
    amount_minor   bigint      NOT NULL CONSTRAINT settlements_amount CHECK (amount_minor > 0),
    created_at     timestamptz NOT NULL,
    undone_at      timestamptz,
    CONSTRAINT settlements_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT settlements_one_source CHECK ((payment_id IS NULL) <> (credit_note_id IS NULL)),
    CONSTRAINT settlements_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices,
    CONSTRAINT settlements_payment FOREIGN KEY (tenant_id, payment_id) REFERENCES payments,
    CONSTRAINT settlements_credit_note FOREIGN KEY (tenant_id, credit_note_id) REFERENCES credit_notes
);
CREATE INDEX settlements_of_invoice ON settlements (tenant_id, invoice_id, id);
CREATE INDEX settlements_of_credit_note ON settlements (tenant_id, credit_note_id) WHERE credit_note_id IS NOT NULL;
CREATE INDEX settlements_of_payment ON settlements (tenant_id, payment_id) WHERE payment_id IS NOT NULL;
CALL tenant_table('settlements', 'SELECT, INSERT, UPDATE (undone_at)');

-- ── The ledger: double entry, only ever added to ────────────────────────────────────────────────────────

CREATE TABLE ledger_entries (
    tenant_id       uuid        NOT NULL,
    id              uuid        NOT NULL,
    transaction_id  uuid        NOT NULL,
    legal_entity_id uuid        NOT NULL,
    document_id     uuid        NOT NULL,
    document        text        NOT NULL
        CONSTRAINT ledger_entries_document CHECK (document IN ('invoice', 'credit_note', 'payment', 'refund')),
    invoice_id      uuid        NOT NULL,
    customer_id     uuid        NOT NULL,
    account         text        NOT NULL,
    tax_category    text,
    tax_rate_ppm    integer,
    tax_reason      text,
    currency        text        NOT NULL,
    amount_minor    bigint      NOT NULL CONSTRAINT ledger_entries_amount CHECK (amount_minor <> 0),
    label           text        NOT NULL,
    booked_on       date        NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT ledger_entries_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT ledger_entries_entity FOREIGN KEY (tenant_id, legal_entity_id) REFERENCES legal_entities,
    CONSTRAINT ledger_entries_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
COMMENT ON COLUMN ledger_entries.amount_minor IS 'debit is positive, credit is negative';
CREATE INDEX ledger_entries_of_document ON ledger_entries (tenant_id, document_id);
CREATE INDEX ledger_entries_of_invoice ON ledger_entries (tenant_id, invoice_id, account);
CALL tenant_table('ledger_entries', 'SELECT, INSERT');

-- ── The page that was sent, kept as it was ──────────────────────────────────────────────────────────────

CREATE TABLE rendered_documents (
    tenant_id   uuid        NOT NULL,
    document_id uuid        NOT NULL,
    sha256      bytea       NOT NULL,
    pdf         bytea       NOT NULL,
    rendered_at timestamptz NOT NULL,
    CONSTRAINT rendered_documents_pk PRIMARY KEY (tenant_id, document_id)
);
CALL tenant_table('rendered_documents', 'SELECT, INSERT');
