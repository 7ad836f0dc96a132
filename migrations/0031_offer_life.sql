-- Who has had an offer under which name, when customers are reminded of its end, and what became of it.

ALTER TABLE offers
    ADD COLUMN one_per_identity   boolean NOT NULL DEFAULT false,
    ADD COLUMN remind_days_before integer
        CONSTRAINT offers_remind_days_before CHECK (remind_days_before BETWEEN 1 AND 60);
-- The owner, too, is held by row security; for once this is for all tenants.
ALTER TABLE offers NO FORCE ROW LEVEL SECURITY;
UPDATE offers SET one_per_identity = true WHERE conditions @> '{"new_customers_only": true}';
ALTER TABLE offers FORCE ROW LEVEL SECURITY;

CREATE TABLE redemption_identities (
    tenant_id   uuid  NOT NULL,
    offer_id    uuid  NOT NULL,
    kind        text  NOT NULL,
    digest      bytea NOT NULL CONSTRAINT redemption_identities_digest CHECK (octet_length(digest) = 32),
    customer_id uuid  NOT NULL,
    CONSTRAINT redemption_identities_pk PRIMARY KEY (tenant_id, offer_id, kind, digest),
    CONSTRAINT redemption_identities_offer FOREIGN KEY (tenant_id, offer_id) REFERENCES offers,
    CONSTRAINT redemption_identities_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers
);
CREATE INDEX redemption_identities_of_customer ON redemption_identities (tenant_id, customer_id, offer_id);
COMMENT ON COLUMN redemption_identities.digest IS 'keyed: the database does not know with what';
CALL tenant_table('redemption_identities', 'SELECT, INSERT, UPDATE (customer_id), DELETE');

ALTER TABLE redemptions
    ADD COLUMN converted_at timestamptz,
    ADD COLUMN ended_at     timestamptz,
    ADD COLUMN reminded_at  timestamptz;
COMMENT ON COLUMN redemptions.converted_at IS 'the first invoice that asked for money was paid';
COMMENT ON COLUMN redemptions.ended_at IS
    'what it gives is over then, which may be to come: the end of the last period that it served';
GRANT UPDATE (remind_days_before) ON offers TO ristourne_app;
GRANT UPDATE (converted_at, ended_at, reminded_at) ON redemptions TO ristourne_app;
