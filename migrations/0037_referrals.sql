-- Codes with which a customer brings others, and who was brought.

ALTER TABLE coupons
    ADD COLUMN referrer_id       uuid,
    ADD COLUMN referrer_offer_id uuid,
    ADD CONSTRAINT coupons_referrer FOREIGN KEY (tenant_id, referrer_id) REFERENCES customers,
    ADD CONSTRAINT coupons_referrer_offer FOREIGN KEY (tenant_id, referrer_offer_id) REFERENCES offers,
    ADD CONSTRAINT coupons_referral CHECK ((referrer_id IS NULL) = (referrer_offer_id IS NULL));
CREATE UNIQUE INDEX coupons_one_per_referrer ON coupons (tenant_id, referrer_id, offer_id)
    WHERE referrer_id IS NOT NULL AND status = 'active';

CREATE TABLE referrals (
    tenant_id         uuid        NOT NULL,
    newcomer_id       uuid        NOT NULL,
    redemption_id     uuid        NOT NULL,
    referrer_id       uuid        NOT NULL,
    referrer_offer_id uuid        NOT NULL,
    created_at        timestamptz NOT NULL,
    CONSTRAINT referrals_pk PRIMARY KEY (tenant_id, newcomer_id),
    CONSTRAINT referrals_newcomer FOREIGN KEY (tenant_id, newcomer_id) REFERENCES customers,
    CONSTRAINT referrals_redemption FOREIGN KEY (tenant_id, redemption_id) REFERENCES redemptions,
    CONSTRAINT referrals_referrer FOREIGN KEY (tenant_id, referrer_id) REFERENCES customers,
    CONSTRAINT referrals_offer FOREIGN KEY (tenant_id, referrer_offer_id) REFERENCES offers
);
COMMENT ON TABLE referrals IS 'whose first invoice that asked for money was paid: each newcomer is brought once';
CREATE INDEX referrals_of_referrer ON referrals (tenant_id, referrer_id);
CALL tenant_table('referrals', 'SELECT, INSERT');
