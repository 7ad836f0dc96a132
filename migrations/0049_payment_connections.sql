-- Payment providers a tenant is connected to, with the keys to them, encrypted; and the pages of theirs on which
-- customers leave a payment method.

CREATE TABLE payment_connections (
    tenant_id       uuid        NOT NULL,
    id              uuid        NOT NULL,
    provider        text        NOT NULL CONSTRAINT payment_connections_provider CHECK (provider = 'stripe'),
    status          text        NOT NULL
        CONSTRAINT payment_connections_status
        CHECK (status IN ('checking', 'connected', 'refused', 'disconnected')),
    account         text,
    key_hint        text        NOT NULL,
    secret_key      bytea,
    next_secret_key bytea,
    problem         text,
    created_at      timestamptz NOT NULL,
    checked_at      timestamptz,
    CONSTRAINT payment_connections_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT payment_connections_connected CHECK (status <> 'connected' OR secret_key IS NOT NULL),
    CONSTRAINT payment_connections_keyless
        CHECK (status <> 'disconnected' OR (secret_key IS NULL AND next_secret_key IS NULL))
);
COMMENT ON COLUMN payment_connections.secret_key IS 'encrypted by a key that the database does not know, as all secrets here';
COMMENT ON COLUMN payment_connections.next_secret_key IS 'the one to use once the provider has let it in, for the same account';
CALL tenant_table('payment_connections',
    'SELECT, INSERT, UPDATE (status, account, key_hint, secret_key, next_secret_key, problem, checked_at)');

CREATE TABLE payment_webhook_secrets (
    tenant_id     uuid        NOT NULL,
    id            uuid        NOT NULL,
    connection_id uuid        NOT NULL,
    hint          text        NOT NULL,
    secret        bytea       NOT NULL,
    created_at    timestamptz NOT NULL,
    CONSTRAINT payment_webhook_secrets_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT payment_webhook_secrets_connection
        FOREIGN KEY (tenant_id, connection_id) REFERENCES payment_connections
);
CREATE INDEX payment_webhook_secrets_of ON payment_webhook_secrets (tenant_id, connection_id);
CALL tenant_table('payment_webhook_secrets', 'SELECT, INSERT, DELETE, UPDATE (secret)');

-- Whoever posts an event names a connection, and no tenant.
CREATE TABLE payment_connection_directory (
    connection_id uuid NOT NULL CONSTRAINT payment_connection_directory_pk PRIMARY KEY,
    tenant_id     uuid NOT NULL
);
GRANT SELECT, INSERT ON payment_connection_directory TO ristourne_app;

CREATE TABLE provider_customers (
    tenant_id     uuid        NOT NULL,
    customer_id   uuid        NOT NULL,
    connection_id uuid        NOT NULL,
    reference     text        NOT NULL,
    created_at    timestamptz NOT NULL,
    CONSTRAINT provider_customers_pk PRIMARY KEY (tenant_id, customer_id, connection_id),
    CONSTRAINT provider_customers_reference UNIQUE (tenant_id, connection_id, reference),
    CONSTRAINT provider_customers_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers,
    CONSTRAINT provider_customers_connection
        FOREIGN KEY (tenant_id, connection_id) REFERENCES payment_connections
);
CALL tenant_table('provider_customers', 'SELECT, INSERT');

CREATE TABLE checkout_sessions (
    tenant_id      uuid        NOT NULL,
    id             uuid        NOT NULL,
    customer_id    uuid        NOT NULL,
    connection_id  uuid        NOT NULL,
    currency       text        NOT NULL,
    success_url    text        NOT NULL,
    cancel_url     text        NOT NULL,
    status         text        NOT NULL
        CONSTRAINT checkout_sessions_status CHECK (status IN ('open', 'completed')),
    reference      text,
    payment_method text,
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL,
    completed_at   timestamptz,
    CONSTRAINT checkout_sessions_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT checkout_sessions_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers,
    CONSTRAINT checkout_sessions_connection
        FOREIGN KEY (tenant_id, connection_id) REFERENCES payment_connections,
    CONSTRAINT checkout_sessions_completed
        CHECK ((status = 'completed') = (completed_at IS NOT NULL AND payment_method IS NOT NULL))
);
COMMENT ON COLUMN checkout_sessions.reference IS 'the provider''s id of its page, once somebody has followed the link';
COMMENT ON COLUMN checkout_sessions.expires_at IS 'by the world''s clock';
CREATE INDEX checkout_sessions_of_customer ON checkout_sessions (tenant_id, customer_id);
CREATE INDEX checkout_sessions_reference ON checkout_sessions (tenant_id, reference) WHERE reference IS NOT NULL;
CALL tenant_table('checkout_sessions',
    'SELECT, INSERT, UPDATE (status, reference, payment_method, completed_at)');
