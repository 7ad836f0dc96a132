-- Credit notes to be: what is asked for, until it is issued under the same id.

CREATE TABLE draft_credit_notes (
    tenant_id   uuid        NOT NULL,
    id          uuid        NOT NULL,
    customer_id uuid        NOT NULL,
    invoice_id  uuid,
    on_invoice  jsonb,
    on_customer jsonb,
    created_at  timestamptz NOT NULL,
    CONSTRAINT draft_credit_notes_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT draft_credit_notes_of_one CHECK (num_nonnulls(on_invoice, on_customer) = 1),
    CONSTRAINT draft_credit_notes_on_invoice CHECK ((on_invoice IS NULL) = (invoice_id IS NULL)),
    CONSTRAINT draft_credit_notes_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers,
    CONSTRAINT draft_credit_notes_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
CREATE INDEX draft_credit_notes_of_customer ON draft_credit_notes (tenant_id, customer_id, id);
CALL tenant_table('draft_credit_notes',
    'SELECT, INSERT, UPDATE (customer_id, invoice_id, on_invoice, on_customer), DELETE');
