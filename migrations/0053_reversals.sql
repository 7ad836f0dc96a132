-- A credit note that was wrong is answered by an invoice, once.

ALTER TABLE credit_note_settlements ADD COLUMN reversed_by uuid;
ALTER TABLE credit_note_settlements ADD CONSTRAINT credit_note_settlements_reversed_by
    FOREIGN KEY (tenant_id, reversed_by) REFERENCES invoices;
COMMENT ON COLUMN credit_note_settlements.reversed_by IS 'the invoice that takes the note back';
CREATE INDEX credit_note_settlements_reversed ON credit_note_settlements (tenant_id, reversed_by)
    WHERE reversed_by IS NOT NULL;
GRANT UPDATE (reversed_by) ON credit_note_settlements TO ristourne_app;
