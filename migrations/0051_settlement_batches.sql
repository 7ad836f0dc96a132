-- Settling what is due with what is left of credit notes, of all customers at once.

CREATE TABLE settlement_batches (
    tenant_id     uuid        NOT NULL,
    id            uuid        NOT NULL,
    currency      text,
    issued_before date,
    simulate      boolean     NOT NULL,
    status        text        NOT NULL
        CONSTRAINT settlement_batches_status CHECK (status IN ('queued', 'running', 'done', 'cancelled')),
    examined      integer     NOT NULL,
    total         integer     NOT NULL,
    applications  integer     NOT NULL,
    applied       jsonb       NOT NULL,
    refused       jsonb       NOT NULL,
    mark          jsonb,
    created_at    timestamptz NOT NULL,
    ended_at      timestamptz,
    CONSTRAINT settlement_batches_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT settlement_batches_counted CHECK (examined >= 0 AND total >= 0 AND applications >= 0),
    CONSTRAINT settlement_batches_ended CHECK ((ended_at IS NULL) = (status IN ('queued', 'running')))
);
COMMENT ON COLUMN settlement_batches.mark IS 'the customer and the note it has come to, and their invoices';
CALL tenant_table('settlement_batches',
    'SELECT, INSERT, UPDATE (status, examined, applications, applied, refused, mark, ended_at)');
