-- Codes that put an offer within reach of who holds them, made one by one or by the batch.

CREATE TABLE coupon_batches (
    tenant_id       uuid        NOT NULL,
    id              uuid        NOT NULL,
    offer_id        uuid        NOT NULL,
    name            text,
    prefix          text,
    count           integer     NOT NULL CONSTRAINT coupon_batches_count CHECK (count BETWEEN 1 AND 100000),
    max_redemptions integer     CONSTRAINT coupon_batches_max CHECK (max_redemptions > 0),
    expires_at      timestamptz,
    metadata        jsonb       NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT coupon_batches_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT coupon_batches_offer FOREIGN KEY (tenant_id, offer_id) REFERENCES offers
);
CALL tenant_table('coupon_batches', 'SELECT, INSERT');

CREATE TABLE coupons (
    tenant_id       uuid        NOT NULL,
    id              uuid        NOT NULL,
    offer_id        uuid        NOT NULL,
    coupon_batch_id uuid,
    code            text        NOT NULL,
    normal_code     text        NOT NULL,
    customer_id     uuid,
    max_redemptions integer     CONSTRAINT coupons_max CHECK (max_redemptions > 0),
    redeemed        integer     NOT NULL DEFAULT 0,
    expires_at      timestamptz,
    status          text        NOT NULL CONSTRAINT coupons_status CHECK (status IN ('active', 'revoked')),
    metadata        jsonb       NOT NULL,
    created_at      timestamptz NOT NULL,
    CONSTRAINT coupons_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT coupons_code UNIQUE (tenant_id, normal_code),
    CONSTRAINT coupons_cap CHECK (redeemed BETWEEN 0 AND max_redemptions),
    CONSTRAINT coupons_offer FOREIGN KEY (tenant_id, offer_id) REFERENCES offers,
    CONSTRAINT coupons_batch FOREIGN KEY (tenant_id, coupon_batch_id) REFERENCES coupon_batches,
    CONSTRAINT coupons_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers
);
COMMENT ON COLUMN coupons.code IS 'as it is shown';
COMMENT ON COLUMN coupons.normal_code IS 'as it is looked for: in capitals, without spaces and hyphens';
CREATE INDEX coupons_of_offer ON coupons (tenant_id, offer_id, id);
CREATE INDEX coupons_of_batch ON coupons (tenant_id, coupon_batch_id, id) WHERE coupon_batch_id IS NOT NULL;
CREATE INDEX coupons_of_customer ON coupons (tenant_id, customer_id, id) WHERE customer_id IS NOT NULL;
CALL tenant_table('coupons', 'SELECT, INSERT, UPDATE (redeemed, status)');

ALTER TABLE redemptions
    ADD CONSTRAINT redemptions_coupon FOREIGN KEY (tenant_id, coupon_id) REFERENCES coupons;
CREATE INDEX redemptions_of_coupon ON redemptions (tenant_id, coupon_id) WHERE coupon_id IS NOT NULL;
