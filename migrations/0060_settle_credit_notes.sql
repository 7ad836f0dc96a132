-- When what is left of credit notes pays other invoices by itself.

ALTER TABLE settings ADD COLUMN settle_credit_notes text
    CONSTRAINT settings_settle_credit_notes CHECK (settle_credit_notes IN ('on_issue', 'on_next_invoice', 'never'));
COMMENT ON COLUMN settings.settle_credit_notes IS 'null until it is set: on the next invoice';
GRANT UPDATE (settle_credit_notes) ON settings TO ristourne_app;
