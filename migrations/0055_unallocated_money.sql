-- Money that came in for no invoice, or for one that was settled meanwhile: it is the customer's, until it is
-- matched with an invoice.

ALTER TABLE payments
    ALTER COLUMN invoice_id DROP NOT NULL,
    ADD COLUMN unallocated_minor bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT payments_unallocated CHECK (unallocated_minor BETWEEN 0 AND amount_minor),
    ADD CONSTRAINT payments_on_an_invoice CHECK (invoice_id IS NULL OR unallocated_minor = 0),
    ADD COLUMN legal_entity_id uuid,
    ADD CONSTRAINT payments_entity FOREIGN KEY (tenant_id, legal_entity_id) REFERENCES legal_entities,
    ADD CONSTRAINT payments_has_books CHECK (invoice_id IS NOT NULL OR legal_entity_id IS NOT NULL);
COMMENT ON COLUMN payments.unallocated_minor IS 'what of it is matched with no invoice yet: the customer''s balance';
COMMENT ON COLUMN payments.legal_entity_id IS 'in whose books it is, where it came for no invoice';
CREATE INDEX payments_unallocated_of_customer ON payments (tenant_id, customer_id) WHERE unallocated_minor > 0;
GRANT UPDATE (unallocated_minor) ON payments TO ristourne_app;
CREATE UNIQUE INDEX payments_once_from_gateway ON payments (tenant_id, gateway, gateway_reference)
    WHERE invoice_id IS NULL AND gateway IS NOT NULL;
