-- What waits to be billed is net or gross as it was when it was made, whatever the plan's prices are by then.

ALTER TABLE charges ADD COLUMN tax_behavior text NOT NULL DEFAULT 'exclusive'
    CONSTRAINT charges_tax_behavior CHECK (tax_behavior IN ('exclusive', 'inclusive'));
