-- What a credit note took off the lines of an invoice and left to be billed again, once.

CREATE TABLE released_lines (
    tenant_id       uuid        NOT NULL,
    id              uuid        NOT NULL,
    credit_note_id  uuid        NOT NULL,
    invoice_id      uuid        NOT NULL,
    invoice_line_id uuid        NOT NULL,
    customer_id     uuid        NOT NULL,
    legal_entity_id uuid        NOT NULL,
    description     text        NOT NULL,
    item            text,
    quantity        numeric(19, 6),
    period          jsonb,
    currency        text        NOT NULL,
    amount_minor    bigint      NOT NULL CONSTRAINT released_lines_amount CHECK (amount_minor > 0),
    tax             jsonb       NOT NULL,
    tax_behavior    text        NOT NULL
        CONSTRAINT released_lines_behavior CHECK (tax_behavior IN ('exclusive', 'inclusive')),
    billed_by       uuid,
    created_at      timestamptz NOT NULL,
    CONSTRAINT released_lines_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT released_lines_once UNIQUE (tenant_id, credit_note_id, invoice_line_id),
    CONSTRAINT released_lines_note FOREIGN KEY (tenant_id, credit_note_id) REFERENCES credit_notes,
    CONSTRAINT released_lines_source FOREIGN KEY (tenant_id, invoice_line_id) REFERENCES invoice_lines,
    CONSTRAINT released_lines_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers,
    CONSTRAINT released_lines_billed_by FOREIGN KEY (tenant_id, billed_by) REFERENCES invoices
);
COMMENT ON COLUMN released_lines.amount_minor IS 'in the prices of the invoice: net or gross, as tax_behavior says';
CREATE INDEX released_lines_of_customer ON released_lines (tenant_id, customer_id, id);
CALL tenant_table('released_lines', 'SELECT, INSERT, UPDATE (billed_by)');

ALTER TABLE draft_invoices ADD COLUMN released_lines uuid[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN draft_invoices.released_lines IS 'what credit notes released, as further lines';
GRANT UPDATE (released_lines) ON draft_invoices TO ristourne_app;
