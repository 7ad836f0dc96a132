-- What is done about invoices that are not paid in time.

ALTER TABLE settings ADD COLUMN dunning_automatic jsonb, ADD COLUMN dunning_send_invoice jsonb;
COMMENT ON COLUMN settings.dunning_automatic IS 'null until it is set: the schedule of billing/dunning/schedule.py';
COMMENT ON COLUMN settings.dunning_send_invoice IS 'null until it is set: the schedule of billing/dunning/schedule.py';
GRANT UPDATE (dunning_automatic, dunning_send_invoice) ON settings TO ristourne_app;

CREATE TABLE dunnings (
    tenant_id    uuid        NOT NULL,
    invoice_id   uuid        NOT NULL,
    status       text        NOT NULL
        CONSTRAINT dunnings_status CHECK (status IN ('running', 'paused', 'exhausted', 'recovered')),
    schedule     jsonb       NOT NULL,
    overdue_at   timestamptz,
    counted_from timestamptz NOT NULL,
    steps_taken  integer     NOT NULL CONSTRAINT dunnings_steps_taken CHECK (steps_taken >= 0),
    next_at      timestamptz,
    CONSTRAINT dunnings_pk PRIMARY KEY (tenant_id, invoice_id),
    CONSTRAINT dunnings_over_has_nothing_to_come
        CHECK (status NOT IN ('exhausted', 'recovered') OR next_at IS NULL),
    CONSTRAINT dunnings_runs_to_a_step
        CHECK (status <> 'running' OR (overdue_at IS NULL) = (next_at IS NULL)),
    CONSTRAINT dunnings_steps_when_overdue CHECK (overdue_at IS NOT NULL OR steps_taken = 0),
    CONSTRAINT dunnings_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
CALL tenant_table('dunnings',
    'SELECT, INSERT, UPDATE (status, schedule, overdue_at, counted_from, steps_taken, next_at)');
