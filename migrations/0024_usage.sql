-- Metered quantities: what is counted, what was reported, and up to when it has been billed.

CREATE TABLE meters (
    tenant_id   uuid        NOT NULL,
    id          uuid        NOT NULL,
    reference   text        NOT NULL,
    name        text        NOT NULL,
    aggregation text        NOT NULL
        CONSTRAINT meters_aggregation CHECK (aggregation IN ('sum', 'max', 'last', 'unique')),
    created_at  timestamptz NOT NULL,
    CONSTRAINT meters_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT meters_reference UNIQUE (tenant_id, reference)
);
CALL tenant_table('meters', 'SELECT, INSERT');

-- A record never changes: which bill it counts in follows from counts_at alone.
CREATE TABLE usage_records (
    tenant_id       uuid           NOT NULL,
    id              uuid           NOT NULL,
    event_id        text           NOT NULL,
    customer_id     uuid           NOT NULL,
    subscription_id uuid           NOT NULL,
    meter_id        uuid           NOT NULL,
    quantity        numeric(19, 6) CONSTRAINT usage_records_quantity CHECK (quantity >= 0),
    value           text,
    at              timestamptz    NOT NULL,
    counts_at       timestamptz    NOT NULL,
    created_at      timestamptz    NOT NULL,
    CONSTRAINT usage_records_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT usage_records_event UNIQUE (tenant_id, event_id),
    CONSTRAINT usage_records_form CHECK ((quantity IS NULL) <> (value IS NULL)),
    CONSTRAINT usage_records_late CHECK (counts_at >= at),
    CONSTRAINT usage_records_subscription FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscriptions,
    CONSTRAINT usage_records_meter FOREIGN KEY (tenant_id, meter_id) REFERENCES meters
);
COMMENT ON COLUMN usage_records.counts_at IS 'its time, or when that had been billed already, from when the next bill counts';
CREATE INDEX usage_records_of_subscription ON usage_records (tenant_id, subscription_id, counts_at);
CREATE INDEX usage_records_of_customer ON usage_records (tenant_id, customer_id, id);
CALL tenant_table('usage_records', 'SELECT, INSERT');

-- Written with the first record. Reading it, and what it bounds, needs the subscription locked.
CREATE TABLE subscription_usage (
    tenant_id       uuid NOT NULL,
    subscription_id uuid NOT NULL,
    billed_until    timestamptz,
    CONSTRAINT subscription_usage_pk PRIMARY KEY (tenant_id, subscription_id),
    CONSTRAINT subscription_usage_subscription FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscriptions
);
COMMENT ON COLUMN subscription_usage.billed_until IS 'what counts before this has been billed; null when nothing has';
CALL tenant_table('subscription_usage', 'SELECT, INSERT, UPDATE (billed_until)');

ALTER TABLE plan_versions ADD COLUMN meters jsonb NOT NULL DEFAULT '[]';

-- What is counted goes beyond what anybody orders.
ALTER TABLE invoice_lines ALTER COLUMN quantity TYPE numeric(19, 6);
ALTER TABLE credit_note_lines ALTER COLUMN quantity TYPE numeric(19, 6);
