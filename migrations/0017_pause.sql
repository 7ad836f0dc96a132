-- Pausing a subscription, now or with the end of its period, and when it goes on by itself.

ALTER TABLE subscriptions
    ADD COLUMN pause_at  timestamptz,
    ADD COLUMN paused_at timestamptz,
    ADD COLUMN resume_at timestamptz,
    ADD CONSTRAINT subscriptions_paused_is_not_billed
        CHECK (status <> 'paused' OR (paused_at IS NOT NULL AND pause_at IS NULL AND next_billing_at IS NULL));
GRANT UPDATE (pause_at, paused_at, resume_at) ON subscriptions TO ristourne_app;
