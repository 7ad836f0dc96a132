-- Plans and quantities that follow one another on a subscription.

ALTER TABLE subscriptions ADD COLUMN phases jsonb;
GRANT UPDATE (phases) ON subscriptions TO ristourne_app;
