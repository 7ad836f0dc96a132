-- An invoice that was wrong, the note that takes it back, and the invoice that stands in its place.

ALTER TABLE invoice_settlements ADD COLUMN corrected_by uuid
    CONSTRAINT invoice_settlements_not_by_itself CHECK (corrected_by <> invoice_id);
ALTER TABLE invoice_settlements ADD CONSTRAINT invoice_settlements_corrected_by
    FOREIGN KEY (tenant_id, corrected_by) REFERENCES invoices;
COMMENT ON COLUMN invoice_settlements.corrected_by IS 'the invoice that stands in its place';
CREATE UNIQUE INDEX invoice_settlements_corrects ON invoice_settlements (tenant_id, corrected_by)
    WHERE corrected_by IS NOT NULL;
GRANT UPDATE (corrected_by) ON invoice_settlements TO ristourne_app;

ALTER TABLE credit_notes ADD COLUMN corrected_by uuid;
COMMENT ON COLUMN credit_notes.corrected_by IS
    'the invoice that was issued with it, in place of the one it takes back; numbered after it, so without a foreign key';
