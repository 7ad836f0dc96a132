-- What the e-invoicing platform said when it refused an invoice, beside the invoice, which stays as it was issued.

ALTER TABLE invoice_settlements ADD COLUMN rejection jsonb;
COMMENT ON COLUMN invoice_settlements.rejection IS 'that the platform rejected it: when, why, and what answered it';
GRANT UPDATE (rejection) ON invoice_settlements TO ristourne_app;
