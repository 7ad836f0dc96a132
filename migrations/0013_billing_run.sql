-- Renewals are found by next_billing_at, not by a job each; what could not be billed waits with its reason.

CREATE TABLE renewal_failures (
    tenant_id       uuid        NOT NULL,
    subscription_id uuid        NOT NULL,
    code            text        NOT NULL,
    detail          text        NOT NULL,
    attempts        integer     NOT NULL CONSTRAINT renewal_failures_attempts CHECK (attempts > 0),
    failed_at       timestamptz NOT NULL,
    retry_at        timestamptz,
    CONSTRAINT renewal_failures_pk PRIMARY KEY (tenant_id, subscription_id),
    CONSTRAINT renewal_failures_subscription FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscriptions
);
COMMENT ON COLUMN renewal_failures.retry_at IS 'null when nobody tries again but by hand';
CREATE INDEX renewal_failures_retry ON renewal_failures (tenant_id, retry_at);
CALL tenant_table('renewal_failures',
    'SELECT, INSERT, UPDATE (code, detail, attempts, failed_at, retry_at), DELETE');

-- The link is written with the period, before the invoice is numbered; both are there when it commits.
ALTER TABLE subscription_invoices
    ALTER CONSTRAINT subscription_invoices_invoice DEFERRABLE INITIALLY DEFERRED;

-- The owner, too, is held by row security; for once this is for all tenants.
ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY;
DELETE FROM jobs WHERE kind = 'renew_subscription';
ALTER TABLE jobs FORCE ROW LEVEL SECURITY;
