-- What an invoice is for, and the earlier documents that it refers to.

ALTER TABLE invoices
    ADD COLUMN kind text NOT NULL DEFAULT 'standard'
        CONSTRAINT invoices_kind
        CHECK (kind IN ('standard', 'deposit', 'final', 'corrected', 'reversal', 'imported')),
    ADD COLUMN refers_to jsonb NOT NULL DEFAULT '[]'
        CONSTRAINT invoices_refers_to CHECK (jsonb_typeof(refers_to) = 'array');
COMMENT ON COLUMN invoices.refers_to IS 'the documents it corrects, takes back or deducts: kind, id, number and day of issue';
