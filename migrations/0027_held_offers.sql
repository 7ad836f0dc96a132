-- A subscription holds any number of offers, each from a period on, and some until a time.

ALTER TABLE redemptions
    ADD COLUMN coupon_id   uuid,
    ADD COLUMN currency    text,
    ADD COLUMN applies_from timestamptz,
    ADD COLUMN ends_at      timestamptz,
    ADD COLUMN served_at    timestamptz,
    ADD COLUMN given_minor  bigint NOT NULL DEFAULT 0 CONSTRAINT redemptions_given CHECK (given_minor >= 0);

-- The owner, too, is held by row security; for once this is for all tenants.
ALTER TABLE redemptions NO FORCE ROW LEVEL SECURITY;
ALTER TABLE subscriptions NO FORCE ROW LEVEL SECURITY;

UPDATE redemptions r
SET applies_from = COALESCE(s.trial_ends_at, r.redeemed_at),
    currency = s.currency,
    served_at = CASE WHEN r.periods_used > 0 THEN s.current_period_start END
FROM subscriptions s
WHERE s.tenant_id = r.tenant_id AND s.redemption_id = r.id;

UPDATE redemptions
SET applies_from = redeemed_at
WHERE applies_from IS NULL;

ALTER TABLE redemptions ALTER COLUMN applies_from SET NOT NULL;
COMMENT ON COLUMN redemptions.applies_from IS 'periods that begin then or later are served';
COMMENT ON COLUMN redemptions.served_at IS 'the start of the last period it took something off';
COMMENT ON COLUMN redemptions.given_minor IS 'what it has taken off in all';
GRANT UPDATE (served_at, given_minor) ON redemptions TO ristourne_app;

ALTER TABLE subscriptions ADD COLUMN redemption_ids uuid[] NOT NULL DEFAULT '{}';
UPDATE subscriptions SET redemption_ids = ARRAY[redemption_id] WHERE redemption_id IS NOT NULL;

ALTER TABLE redemptions FORCE ROW LEVEL SECURITY;
ALTER TABLE subscriptions FORCE ROW LEVEL SECURITY;
ALTER TABLE subscriptions DROP COLUMN redemption_id;
GRANT UPDATE (redemption_ids) ON subscriptions TO ristourne_app;
