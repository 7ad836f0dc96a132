-- Periods that begin on a day of the month.

ALTER TABLE subscriptions ADD COLUMN billing_anchor jsonb;
COMMENT ON COLUMN subscriptions.billing_anchor IS 'null when periods begin on the day billing began';
