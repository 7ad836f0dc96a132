-- Add-ons: plans that are had beside another one, and never alone.

ALTER TABLE plans ADD COLUMN kind text NOT NULL DEFAULT 'plan'
    CONSTRAINT plans_kind CHECK (kind IN ('plan', 'addon'));

-- In the subscription's own row: whoever locks that row sees them as they are. In rows of their own they would be
-- read as they were before the wait for the lock. What they refer to is never deleted.
ALTER TABLE subscriptions ADD COLUMN addons jsonb NOT NULL DEFAULT '[]'
    CONSTRAINT subscriptions_addons CHECK (jsonb_typeof(addons) = 'array');
COMMENT ON COLUMN subscriptions.addons IS 'plan_id, version and quantity of each';
GRANT UPDATE (addons) ON subscriptions TO ristourne_app;
