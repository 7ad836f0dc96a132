-- A refund that was made at the provider itself: of a note that there is, of one issued for it, or of none yet.

ALTER TABLE settings ADD COLUMN provider_refunds text
    CONSTRAINT settings_provider_refunds CHECK (provider_refunds IN ('issue_credit_note', 'link_only'));
GRANT UPDATE (provider_refunds) ON settings TO ristourne_app;

GRANT UPDATE (credit_note_id, invoice_id) ON refunds TO ristourne_app;
COMMENT ON COLUMN refunds.credit_note_id IS 'null until the refund of a payment, made at the provider, is linked to a note';
CREATE INDEX refunds_unlinked ON refunds (tenant_id, id) WHERE credit_note_id IS NULL;
