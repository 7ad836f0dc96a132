-- What payment providers told us: the inbox. Kept is which of their objects it is about, and no more of it.

CREATE TABLE provider_events (
    tenant_id        uuid        NOT NULL,
    provider         text        NOT NULL,
    reference        text        NOT NULL,
    id               uuid        NOT NULL,
    connection_id    uuid        NOT NULL,
    type             text        NOT NULL,
    kind             text
        CONSTRAINT provider_events_kind CHECK (kind IN ('charge', 'refund', 'dispute', 'checkout')),
    object_reference text        NOT NULL,
    job_id           uuid,
    happened_at      timestamptz NOT NULL,
    received_at      timestamptz NOT NULL,
    handled_at       timestamptz,
    CONSTRAINT provider_events_pk PRIMARY KEY (tenant_id, provider, reference),
    CONSTRAINT provider_events_id UNIQUE (tenant_id, id),
    CONSTRAINT provider_events_followed CHECK ((kind IS NULL) = (job_id IS NULL))
);
COMMENT ON TABLE provider_events IS 'the same event is kept once, however often it is delivered';
COMMENT ON COLUMN provider_events.reference IS 'the provider''s id of the event; object_reference is that of what it is about';
COMMENT ON COLUMN provider_events.kind IS 'null when nothing of ours follows from it';
COMMENT ON COLUMN provider_events.received_at IS 'by the world''s clock, as happened_at is';
CREATE INDEX provider_events_waiting ON provider_events (tenant_id, connection_id, kind, object_reference)
    WHERE kind IS NOT NULL AND handled_at IS NULL;
CALL tenant_table('provider_events', 'SELECT, INSERT, DELETE, UPDATE (handled_at)');

-- What a provider tells about its objects is matched to ours by its names for them.
CREATE INDEX payments_at_gateway ON payments (tenant_id, gateway_reference) WHERE gateway_reference IS NOT NULL;
CREATE INDEX refunds_at_gateway ON refunds (tenant_id, gateway_reference) WHERE gateway_reference IS NOT NULL;
