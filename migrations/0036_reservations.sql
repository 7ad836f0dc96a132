-- An offer kept for a customer: it holds its place in every cap until it is redeemed, or lapses.

ALTER TABLE redemptions
    ADD COLUMN reserved_at    timestamptz,
    ADD COLUMN reserved_until timestamptz,
    ADD CONSTRAINT redemptions_reserved CHECK (status <> 'reserved' OR reserved_at IS NOT NULL);
COMMENT ON COLUMN redemptions.reserved_until IS 'null when it is kept until it is redeemed or released';
CREATE INDEX redemptions_that_are_reserved ON redemptions (tenant_id, customer_id) WHERE status = 'reserved';
GRANT UPDATE (applies_from, ends_at, currency, redeemed_at) ON redemptions TO ristourne_app;
