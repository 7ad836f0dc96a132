-- Money going back, one row for each way it goes.

CREATE TABLE refunds (
    tenant_id         uuid        NOT NULL,
    id                uuid        NOT NULL,
    credit_note_id    uuid        NOT NULL,
    payment_id        uuid,
    customer_id       uuid        NOT NULL,
    invoice_id        uuid        NOT NULL,
    currency          text        NOT NULL,
    amount_minor      bigint      NOT NULL CONSTRAINT refunds_amount CHECK (amount_minor > 0),
    mode              text        NOT NULL
        CONSTRAINT refunds_mode CHECK (mode IN ('automatic', 'manual', 'deferred')),
    status            text        NOT NULL
        CONSTRAINT refunds_status CHECK (status IN ('scheduled', 'pending', 'succeeded', 'failed', 'cancelled',
            'retried', 'converted_to_balance', 'recorded_external')),
    due_on            date        NOT NULL,
    means             text        NOT NULL,
    reference         text,
    gateway_reference text,
    failure_code      text,
    created_at        timestamptz NOT NULL,
    succeeded_on      date,
    CONSTRAINT refunds_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT refunds_provider_has_payment CHECK (means <> 'provider' OR payment_id IS NOT NULL),
    CONSTRAINT refunds_credit_note FOREIGN KEY (tenant_id, credit_note_id) REFERENCES credit_notes,
    CONSTRAINT refunds_payment FOREIGN KEY (tenant_id, payment_id) REFERENCES payments,
    CONSTRAINT refunds_invoice FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoices
);
CREATE INDEX refunds_of_credit_note ON refunds (tenant_id, credit_note_id, id);
CREATE INDEX refunds_of_payment ON refunds (tenant_id, payment_id) WHERE payment_id IS NOT NULL;
CALL tenant_table('refunds',
    'SELECT, INSERT, UPDATE (status, gateway_reference, failure_code, succeeded_on)');
