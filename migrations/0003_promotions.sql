-- Offers and their redemptions.

CREATE TABLE offers (
    tenant_id       uuid        NOT NULL,
    id              uuid        NOT NULL,
    reference       text        NOT NULL,
    name            text        NOT NULL,
    lane            integer     NOT NULL,
    benefit         jsonb       NOT NULL,
    conditions      jsonb       NOT NULL,
    duration        jsonb       NOT NULL,
    at_end          jsonb       NOT NULL,
    max_redemptions integer CONSTRAINT offers_max CHECK (max_redemptions > 0),
    redeemed        integer     NOT NULL DEFAULT 0,
    active          boolean     NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT offers_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT offers_reference UNIQUE (tenant_id, reference),
    CONSTRAINT offers_cap CHECK (redeemed BETWEEN 0 AND max_redemptions)
);
CALL tenant_table('offers', 'SELECT, INSERT, UPDATE (redeemed, active)');

CREATE TABLE redemptions (
    tenant_id    uuid        NOT NULL,
    id           uuid        NOT NULL,
    offer_id     uuid        NOT NULL,
    customer_id  uuid        NOT NULL,
    status       text        NOT NULL
        CONSTRAINT redemptions_status
        CHECK (status IN ('reserved', 'redeemed', 'exhausted', 'expired', 'revoked', 'released')),
    periods_used integer     NOT NULL DEFAULT 0,
    redeemed_at  timestamptz NOT NULL,
    CONSTRAINT redemptions_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT redemptions_once UNIQUE (tenant_id, customer_id, offer_id),
    CONSTRAINT redemptions_offer FOREIGN KEY (tenant_id, offer_id) REFERENCES offers,
    CONSTRAINT redemptions_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers
);
CREATE INDEX redemptions_of_offer ON redemptions (tenant_id, offer_id);
CALL tenant_table('redemptions', 'SELECT, INSERT, UPDATE (status, periods_used)');
