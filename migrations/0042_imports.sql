-- Invoices that were issued elsewhere keep their numbers, whatever their series look like.

ALTER TABLE invoices DROP CONSTRAINT invoices_number_form;
ALTER TABLE invoices ADD CONSTRAINT invoices_number_form
    CHECK (number ~ '^[A-Za-z0-9+_/-]{1,35}$' OR (kind = 'imported' AND length(number) BETWEEN 1 AND 35));
