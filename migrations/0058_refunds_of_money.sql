-- Money that is on no invoice goes back without a credit note: nothing was sold with it.

ALTER TABLE refunds ADD COLUMN of_rest boolean NOT NULL DEFAULT false;
ALTER TABLE refunds ADD CONSTRAINT refunds_of_rest
    CHECK (NOT of_rest OR (credit_note_id IS NULL AND payment_id IS NOT NULL));
COMMENT ON COLUMN refunds.of_rest IS 'of what of its payment is matched with no invoice';
