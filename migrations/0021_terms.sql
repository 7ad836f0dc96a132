-- Trial days and a minimum term: of a plan's version, and of what was agreed.

ALTER TABLE plan_versions
    ADD COLUMN trial_days   integer NOT NULL DEFAULT 0
        CONSTRAINT plan_versions_trial_days CHECK (trial_days BETWEEN 0 AND 730),
    ADD COLUMN minimum_term jsonb;

ALTER TABLE subscriptions ADD COLUMN term_ends_at timestamptz;
COMMENT ON COLUMN subscriptions.term_ends_at IS 'the end of the minimum term';
