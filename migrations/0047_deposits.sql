-- Deposit invoices, and the final invoice that deducts them.

ALTER TABLE draft_invoices
    ADD COLUMN kind text NOT NULL DEFAULT 'standard'
        CONSTRAINT draft_invoices_kind CHECK (kind IN ('standard', 'deposit')),
    ADD COLUMN deposits uuid[] NOT NULL DEFAULT '{}';
COMMENT ON COLUMN draft_invoices.deposits IS 'the deposit invoices that it deducts, issued as the final invoice';
GRANT UPDATE (kind, deposits) ON draft_invoices TO ristourne_app;

ALTER TABLE invoices
    ADD COLUMN deductions jsonb NOT NULL DEFAULT '[]'
        CONSTRAINT invoices_deductions CHECK (jsonb_typeof(deductions) = 'array');
COMMENT ON COLUMN invoices.deductions IS 'the deposits it deducts, as its page shows them: net and VAT per group';

ALTER TABLE invoice_settlements
    ADD COLUMN deducted_by uuid,
    ADD CONSTRAINT invoice_settlements_deducted_by FOREIGN KEY (tenant_id, deducted_by) REFERENCES invoices;
COMMENT ON COLUMN invoice_settlements.deducted_by IS 'of a deposit: the final invoice that deducts it';
GRANT UPDATE (deducted_by) ON invoice_settlements TO ristourne_app;

-- A deposit is the third thing that settles an invoice, and it does so once.
ALTER TABLE settlements
    ADD COLUMN deposit_id uuid,
    ADD CONSTRAINT settlements_deposit FOREIGN KEY (tenant_id, deposit_id) REFERENCES invoices;
ALTER TABLE settlements DROP CONSTRAINT settlements_one_source;
ALTER TABLE settlements ADD CONSTRAINT settlements_one_source
    CHECK (num_nonnulls(payment_id, credit_note_id, deposit_id) = 1);
CREATE UNIQUE INDEX settlements_of_deposit ON settlements (tenant_id, deposit_id)
    WHERE deposit_id IS NOT NULL AND undone_at IS NULL;
