-- Invoices that a credit note on no invoice has been attached to since: it names them, and moves no money.

CREATE TABLE credit_note_references (
    tenant_id      uuid        NOT NULL,
    credit_note_id uuid        NOT NULL,
    invoice_id     uuid        NOT NULL,
    created_at     timestamptz NOT NULL,
    CONSTRAINT credit_note_references_pk PRIMARY KEY (tenant_id, credit_note_id, invoice_id),
    CONSTRAINT credit_note_references_note FOREIGN KEY (tenant_id, credit_note_id) REFERENCES credit_notes,
    CONSTRAINT credit_note_references_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
CREATE INDEX credit_note_references_of_invoice
    ON credit_note_references (tenant_id, invoice_id, credit_note_id);
CALL tenant_table('credit_note_references', 'SELECT, INSERT, DELETE');
