-- A customer redeems an offer as often as it says; what is released or has expired leaves its place to another.

ALTER TABLE redemptions
    ADD COLUMN ordinal integer NOT NULL DEFAULT 1 CONSTRAINT redemptions_ordinal CHECK (ordinal > 0),
    DROP CONSTRAINT redemptions_once;
COMMENT ON COLUMN redemptions.ordinal IS 'which of the times that the customer may redeem the offer';
CREATE UNIQUE INDEX redemptions_once ON redemptions (tenant_id, customer_id, offer_id, ordinal)
    WHERE status NOT IN ('released', 'expired');
CREATE INDEX redemptions_of_customer ON redemptions (tenant_id, customer_id, id);
