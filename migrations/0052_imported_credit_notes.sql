-- Credit notes that were issued elsewhere keep their numbers, as such invoices do.

ALTER TABLE credit_notes ADD COLUMN imported boolean NOT NULL DEFAULT false;
ALTER TABLE credit_notes DROP CONSTRAINT credit_notes_number_form;
ALTER TABLE credit_notes ADD CONSTRAINT credit_notes_number_form
    CHECK (number ~ '^[A-Za-z0-9+_/-]{1,35}$' OR (imported AND length(number) BETWEEN 1 AND 35));
