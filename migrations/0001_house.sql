-- What stands before any business: tenants, keys, the outbox, jobs, idempotency.

-- One way to make a table a tenant's: row security on and forced, one policy, and only the privileges named.
-- Immutability is held by grants alone: what is issued is granted SELECT and INSERT, and elsewhere only the
-- columns that may change are granted UPDATE.
CREATE PROCEDURE tenant_table(name regclass, privileges text)
LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', name);
    EXECUTE format(
        'CREATE POLICY tenant ON %s
         USING (tenant_id = NULLIF(current_setting(''ristourne.tenant'', true), '''')::uuid)
         WITH CHECK (tenant_id = NULLIF(current_setting(''ristourne.tenant'', true), '''')::uuid)',
        name
    );
    EXECUTE format('GRANT %s ON %s TO ristourne_app', privileges, name);
END
$$;

GRANT USAGE ON SCHEMA public TO ristourne_app;

-- ── Before a tenant is known: no row security here, and nothing personal ────────────────────────────────

CREATE TABLE accounts (
    id         uuid        NOT NULL CONSTRAINT accounts_pk PRIMARY KEY,
    name       text        NOT NULL,
    created_at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON accounts TO ristourne_app;

CREATE TABLE tenants (
    id         uuid        NOT NULL CONSTRAINT tenants_pk PRIMARY KEY,
    account_id uuid        NOT NULL CONSTRAINT tenants_account REFERENCES accounts,
    name       text        NOT NULL,
    mode       text        NOT NULL CONSTRAINT tenants_mode CHECK (mode IN ('live', 'test')),
    created_at timestamptz NOT NULL
);
GRANT SELECT, INSERT ON tenants TO ristourne_app;

-- Written once and never changed, so it may be remembered. Whether a key is good stands in api_keys.
CREATE TABLE key_directory (
    public_id  text  NOT NULL CONSTRAINT key_directory_pk PRIMARY KEY,
    tenant_id  uuid  NOT NULL CONSTRAINT key_directory_tenant REFERENCES tenants,
    api_key_id uuid  NOT NULL,
    hash       bytea NOT NULL CONSTRAINT key_directory_hash CHECK (octet_length(hash) = 32)
);
GRANT SELECT, INSERT ON key_directory TO ristourne_app;

CREATE TABLE pending_work (
    id        bigint      GENERATED ALWAYS AS IDENTITY CONSTRAINT pending_work_pk PRIMARY KEY,
    tenant_id uuid        NOT NULL,
    due_at    timestamptz NOT NULL
);
CREATE INDEX pending_work_due ON pending_work (due_at, id);
CREATE INDEX pending_work_tenant ON pending_work (tenant_id);
GRANT SELECT, INSERT, UPDATE (due_at), DELETE ON pending_work TO ristourne_app;

-- ── A tenant's own ──────────────────────────────────────────────────────────────────────────────────────

CREATE TABLE api_keys (
    tenant_id    uuid        NOT NULL CONSTRAINT api_keys_tenant REFERENCES tenants,
    id           uuid        NOT NULL,
    public_id    text        NOT NULL,
    name         text        NOT NULL,
    scopes       text[]      NOT NULL,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz,
    revoked_at   timestamptz,
    last_used_at timestamptz,
    successor_id uuid,
    CONSTRAINT api_keys_pk PRIMARY KEY (tenant_id, id)
);
CALL tenant_table('api_keys', 'SELECT, INSERT, UPDATE (expires_at, revoked_at, last_used_at, successor_id)');

CREATE TABLE events (
    tenant_id  uuid        NOT NULL,
    id         uuid        NOT NULL,
    type       text        NOT NULL,
    data       jsonb       NOT NULL,
    created_at timestamptz NOT NULL,
    state      text        NOT NULL DEFAULT 'pending'
        CONSTRAINT events_state CHECK (state IN ('pending', 'dispatched')),
    CONSTRAINT events_pk PRIMARY KEY (tenant_id, id)
);
CREATE INDEX events_pending ON events (tenant_id, created_at, id) WHERE state = 'pending';
CALL tenant_table('events', 'SELECT, INSERT, UPDATE (state)');

CREATE TABLE jobs (
    tenant_id  uuid        NOT NULL,
    id         uuid        NOT NULL,
    kind       text        NOT NULL,
    event_id   uuid,
    data       jsonb       NOT NULL,
    state      text        NOT NULL DEFAULT 'waiting'
        CONSTRAINT jobs_state CHECK (state IN ('waiting', 'running', 'done', 'parked')),
    attempt    integer     NOT NULL DEFAULT 0,
    due_at     timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    last_error text,
    CONSTRAINT jobs_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT jobs_event FOREIGN KEY (tenant_id, event_id) REFERENCES events,
    CONSTRAINT jobs_once_per_event UNIQUE (tenant_id, event_id, kind)
);
CREATE INDEX jobs_due ON jobs (tenant_id, due_at, id) WHERE state IN ('waiting', 'running');
CALL tenant_table('jobs', 'SELECT, INSERT, UPDATE (state, attempt, due_at, last_error), DELETE');

CREATE TABLE idempotency_answers (
    tenant_id   uuid        NOT NULL,
    key         text        NOT NULL,
    fingerprint bytea       NOT NULL,
    status      smallint    NOT NULL,
    headers     jsonb       NOT NULL,
    body        bytea       NOT NULL,
    created_at  timestamptz NOT NULL,
    CONSTRAINT idempotency_answers_pk PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_answers_age ON idempotency_answers (tenant_id, created_at);
CALL tenant_table('idempotency_answers',
    'SELECT, INSERT, UPDATE (fingerprint, status, headers, body, created_at), DELETE');
