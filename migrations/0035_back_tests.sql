-- What was decided about the offers of an invoice, with all that decided it; and trying offers on the past.

ALTER TABLE subscription_invoices ADD COLUMN decided jsonb;
COMMENT ON COLUMN subscription_invoices.decided IS
    'what the promotion engine was asked and answered; null where no offer was in reach';

CREATE TABLE back_tests (
    tenant_id  uuid        NOT NULL,
    id         uuid        NOT NULL,
    request    jsonb       NOT NULL,
    status     text        NOT NULL
        CONSTRAINT back_tests_status CHECK (status IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    done       integer     NOT NULL,
    total      integer     NOT NULL,
    mark       uuid,
    findings   jsonb       NOT NULL,
    error      text,
    created_at timestamptz NOT NULL,
    ended_at   timestamptz,
    CONSTRAINT back_tests_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT back_tests_counted CHECK (done >= 0 AND total >= 0),
    CONSTRAINT back_tests_ended CHECK ((ended_at IS NULL) = (status IN ('queued', 'running')))
);
COMMENT ON COLUMN back_tests.mark IS 'the last customer whose invoices have been gone through';
CALL tenant_table('back_tests', 'SELECT, INSERT, UPDATE (status, done, total, mark, findings, error, ended_at)');
