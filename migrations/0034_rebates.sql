-- Rebate programmes: contracts, what has been settled of them, and what was accrued at closings.

CREATE TABLE rebate_contracts (
    tenant_id         uuid        NOT NULL,
    id                uuid        NOT NULL,
    reference         text        NOT NULL,
    name              text        NOT NULL,
    currency          text        NOT NULL,
    customers         uuid[]      NOT NULL,
    customer_metadata jsonb       NOT NULL,
    items             text[],
    period            text        NOT NULL
        CONSTRAINT rebate_contracts_period CHECK (period IN ('month', 'quarter', 'year', 'custom')),
    basis             text        NOT NULL
        CONSTRAINT rebate_contracts_basis CHECK (basis IN ('net_amount', 'quantity')),
    mode              text        NOT NULL
        CONSTRAINT rebate_contracts_mode CHECK (mode IN ('marginal', 'whole_volume')),
    tiers             jsonb       NOT NULL,
    refund            text
        CONSTRAINT rebate_contracts_refund CHECK (refund IN ('automatic', 'manual', 'deferred', 'none')),
    when_negative     text        NOT NULL
        CONSTRAINT rebate_contracts_when_negative CHECK (when_negative IN ('carry_forward', 'claw_back')),
    starts_on         date        NOT NULL,
    ends_on           date,
    metadata          jsonb       NOT NULL,
    created_at        timestamptz NOT NULL,
    CONSTRAINT rebate_contracts_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT rebate_contracts_reference UNIQUE (tenant_id, reference),
    CONSTRAINT rebate_contracts_dates CHECK (ends_on > starts_on),
    CONSTRAINT rebate_contracts_custom_ends CHECK (period <> 'custom' OR ends_on IS NOT NULL),
    CONSTRAINT rebate_contracts_for_somebody CHECK ((customers = '{}') <> (customer_metadata = '{}'))
);
COMMENT ON COLUMN rebate_contracts.items IS 'null for whatever is bought';
COMMENT ON COLUMN rebate_contracts.refund IS 'null for the mode of the settings';
CALL tenant_table('rebate_contracts',
    'SELECT, INSERT, UPDATE (name, ends_on, refund, when_negative, metadata)');

CREATE TABLE rebate_settlements (
    tenant_id      uuid           NOT NULL,
    id             uuid           NOT NULL,
    contract_id    uuid           NOT NULL,
    customer_id    uuid           NOT NULL,
    starts_on      date           NOT NULL,
    ends_on        date           NOT NULL,
    currency       text           NOT NULL,
    volume_minor   bigint         NOT NULL,
    quantity       numeric(19, 6) NOT NULL,
    earned_minor   bigint         NOT NULL,
    net_minor      bigint         NOT NULL CONSTRAINT rebate_settlements_net CHECK (net_minor > 0),
    credit_note_id uuid,
    invoice_id     uuid,
    created_at     timestamptz    NOT NULL,
    CONSTRAINT rebate_settlements_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT rebate_settlements_given_or_taken_back CHECK ((credit_note_id IS NULL) <> (invoice_id IS NULL)),
    CONSTRAINT rebate_settlements_contract FOREIGN KEY (tenant_id, contract_id) REFERENCES rebate_contracts,
    CONSTRAINT rebate_settlements_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers,
    CONSTRAINT rebate_settlements_credit_note FOREIGN KEY (tenant_id, credit_note_id) REFERENCES credit_notes,
    CONSTRAINT rebate_settlements_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
CREATE INDEX rebate_settlements_of_contract ON rebate_settlements (tenant_id, contract_id, id);
CREATE INDEX rebate_settlements_taken_back ON rebate_settlements (tenant_id, customer_id, invoice_id)
    WHERE invoice_id IS NOT NULL;
CALL tenant_table('rebate_settlements', 'SELECT, INSERT');

CREATE TABLE rebate_accruals (
    tenant_id   uuid        NOT NULL,
    id          uuid        NOT NULL,
    contract_id uuid        NOT NULL,
    accrued_on  date        NOT NULL,
    currency    text        NOT NULL,
    net_minor   bigint      NOT NULL,
    tax_minor   bigint      NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT rebate_accruals_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT rebate_accruals_once_a_day UNIQUE (tenant_id, contract_id, accrued_on),
    CONSTRAINT rebate_accruals_contract FOREIGN KEY (tenant_id, contract_id) REFERENCES rebate_contracts
);
CALL tenant_table('rebate_accruals', 'SELECT, INSERT');

ALTER TABLE ledger_entries DROP CONSTRAINT ledger_entries_document;
ALTER TABLE ledger_entries ADD CONSTRAINT ledger_entries_document
    CHECK (document IN ('invoice', 'credit_note', 'payment', 'refund', 'application', 'rebate_accrual'));
