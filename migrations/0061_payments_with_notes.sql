-- A payment of 0.00 may be recorded together with the credit notes that settled its invoice.

ALTER TABLE payments DROP CONSTRAINT payments_amount;
ALTER TABLE payments ADD CONSTRAINT payments_amount
    CHECK (amount_minor > 0 OR (amount_minor = 0 AND means <> 'provider' AND invoice_id IS NOT NULL));
