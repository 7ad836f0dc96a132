-- A refund is moved to another day, retried over another payment, or made without a credit note.

ALTER TABLE refunds ADD COLUMN retry_of uuid;
ALTER TABLE refunds ADD COLUMN blocked boolean NOT NULL DEFAULT false;
ALTER TABLE refunds ALTER COLUMN credit_note_id DROP NOT NULL;
ALTER TABLE refunds ADD CONSTRAINT refunds_retry_of FOREIGN KEY (tenant_id, retry_of) REFERENCES refunds;
ALTER TABLE refunds ADD CONSTRAINT refunds_of_something
    CHECK (credit_note_id IS NOT NULL OR payment_id IS NOT NULL);
ALTER TABLE refunds ADD CONSTRAINT refunds_blocked_waits CHECK (NOT blocked OR status = 'scheduled');
CREATE INDEX refunds_retries ON refunds (tenant_id, retry_of) WHERE retry_of IS NOT NULL;
GRANT UPDATE (due_on, blocked) ON refunds TO ristourne_app;
