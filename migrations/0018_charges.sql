-- What a subscription is billed once: setup fees, and charges that wait for the next invoice.

ALTER TABLE prices ADD COLUMN setup_fee numeric(25, 12) CONSTRAINT prices_setup_fee CHECK (setup_fee >= 0);
COMMENT ON COLUMN prices.setup_fee IS 'billed once, whatever the quantity';

CREATE TABLE charges (
    tenant_id       uuid            NOT NULL,
    id              uuid            NOT NULL,
    subscription_id uuid            NOT NULL,
    plan_id         uuid,
    description     text            NOT NULL,
    quantity        numeric(13, 6)  NOT NULL CONSTRAINT charges_quantity CHECK (quantity > 0),
    unit_price      numeric(25, 12) NOT NULL CONSTRAINT charges_unit_price CHECK (unit_price >= 0),
    currency        text            NOT NULL,
    tax_rate_id     uuid,
    discountable    boolean         NOT NULL,
    invoice_id      uuid,
    created_at      timestamptz     NOT NULL,
    CONSTRAINT charges_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT charges_subscription FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscriptions,
    CONSTRAINT charges_plan FOREIGN KEY (tenant_id, plan_id) REFERENCES plans,
    CONSTRAINT charges_tax_rate FOREIGN KEY (tenant_id, tax_rate_id) REFERENCES tax_rates,
    -- Marked with the period, before the invoice is numbered; both are there when it commits.
    CONSTRAINT charges_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices DEFERRABLE INITIALLY DEFERRED
);
COMMENT ON COLUMN charges.plan_id IS 'whose setup fee it is';
COMMENT ON COLUMN charges.invoice_id IS 'null while it waits for the next invoice';
CREATE INDEX charges_of_subscription ON charges (tenant_id, subscription_id, id);
CREATE INDEX charges_pending ON charges (tenant_id, subscription_id, id) WHERE invoice_id IS NULL;
CALL tenant_table('charges', 'SELECT, INSERT, UPDATE (invoice_id), DELETE');
