-- Prices without VAT (exclusive) or with it (inclusive): a default of the tenant, frozen on whatever is priced.

ALTER TABLE settings ADD COLUMN tax_behavior text NOT NULL DEFAULT 'exclusive'
    CONSTRAINT settings_tax_behavior CHECK (tax_behavior IN ('exclusive', 'inclusive'));
GRANT UPDATE (tax_behavior) ON settings TO ristourne_app;

ALTER TABLE plan_versions ADD COLUMN tax_behavior text NOT NULL DEFAULT 'exclusive'
    CONSTRAINT plan_versions_tax_behavior CHECK (tax_behavior IN ('exclusive', 'inclusive'));

ALTER TABLE draft_invoices ADD COLUMN tax_behavior text NOT NULL DEFAULT 'exclusive'
    CONSTRAINT draft_invoices_tax_behavior CHECK (tax_behavior IN ('exclusive', 'inclusive'));
GRANT UPDATE (tax_behavior) ON draft_invoices TO ristourne_app;

ALTER TABLE invoices ADD COLUMN tax_behavior text NOT NULL DEFAULT 'exclusive'
    CONSTRAINT invoices_tax_behavior CHECK (tax_behavior IN ('exclusive', 'inclusive'));

ALTER TABLE credit_notes ADD COLUMN tax_behavior text NOT NULL DEFAULT 'exclusive'
    CONSTRAINT credit_notes_tax_behavior CHECK (tax_behavior IN ('exclusive', 'inclusive'));

-- What a line's price holds of the VAT of its group; nothing in net prices.
ALTER TABLE invoice_lines ADD COLUMN included_tax_minor bigint NOT NULL DEFAULT 0
    CONSTRAINT invoice_lines_included_tax CHECK (included_tax_minor >= 0);
ALTER TABLE invoice_lines DROP CONSTRAINT invoice_lines_sum;
ALTER TABLE invoice_lines ADD CONSTRAINT invoice_lines_sum
    CHECK (net_minor = amount_minor - discount_minor - included_tax_minor);

ALTER TABLE credit_note_lines ADD COLUMN included_tax_minor bigint NOT NULL DEFAULT 0
    CONSTRAINT credit_note_lines_included_tax CHECK (included_tax_minor >= 0);
