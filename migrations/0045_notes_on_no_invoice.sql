-- A credit note may be on no invoice: its lines are its own, priced and taxed like those of an invoice.

ALTER TABLE credit_notes DROP CONSTRAINT credit_notes_on_an_invoice_or_a_rebate;
ALTER TABLE credit_notes ADD CONSTRAINT credit_notes_on_an_invoice_or_none
    CHECK ((invoice_id IS NULL) = (invoice_number IS NULL) AND (invoice_id IS NULL) = (invoice_issued_on IS NULL)
           AND (rebate IS NULL OR invoice_id IS NULL));

ALTER TABLE credit_note_lines ALTER COLUMN invoice_line_id DROP NOT NULL;
ALTER TABLE credit_note_lines ADD COLUMN unit_price numeric(25, 12);
ALTER TABLE credit_note_lines ADD COLUMN item text;
COMMENT ON COLUMN credit_note_lines.invoice_line_id IS 'null on a note that is on no invoice';
COMMENT ON COLUMN credit_note_lines.unit_price IS 'of a line that is on no invoice; the others are shares of theirs';
COMMENT ON COLUMN credit_note_lines.item IS 'what a line that is on no invoice is for';

ALTER TABLE credit_notes ADD COLUMN modality text
    CONSTRAINT credit_notes_modality CHECK (modality IN ('transfer', 'card', 'deduction', 'voucher'));
COMMENT ON COLUMN credit_notes.modality IS 'how it is given back, as its page says; null on notes from before it was kept';
