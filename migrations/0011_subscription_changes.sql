-- Changing the plan or the quantity of a subscription, now or with its next period.

ALTER TABLE settings ADD COLUMN proration text NOT NULL DEFAULT 'day'
    CONSTRAINT settings_proration CHECK (proration IN ('day', 'second', 'none'));
GRANT UPDATE (proration) ON settings TO ristourne_app;

ALTER TABLE subscriptions ADD COLUMN pending_change jsonb;
GRANT UPDATE (plan_id, version, quantity, anchor_at, pending_change) ON subscriptions TO ristourne_app;

-- A period is billed once still: its own invoice is number 0. A change inside it is billed by another.
ALTER TABLE subscription_invoices
    ADD COLUMN change_number integer NOT NULL DEFAULT 0
        CONSTRAINT subscription_invoices_change_number CHECK (change_number >= 0),
    ADD COLUMN stopped_at timestamptz,
    DROP CONSTRAINT subscription_invoices_pk,
    ADD CONSTRAINT subscription_invoices_pk
        PRIMARY KEY (tenant_id, subscription_id, period_start, change_number);
COMMENT ON COLUMN subscription_invoices.stopped_at IS 'from here on what it billed is not used: a change credited it';
GRANT UPDATE (stopped_at) ON subscription_invoices TO ristourne_app;
