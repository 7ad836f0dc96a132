-- Mails as they were sent.

CREATE TABLE mails (
    tenant_id    uuid        NOT NULL,
    id           uuid        NOT NULL,
    event_id     uuid        NOT NULL,
    kind         text        NOT NULL,
    language     text        NOT NULL,
    customer_id  uuid        NOT NULL,
    document_id  uuid        NOT NULL,
    sender       text        NOT NULL,
    recipient    text        NOT NULL,
    subject      text        NOT NULL,
    body         text        NOT NULL,
    status       text        NOT NULL CONSTRAINT mails_status CHECK (status IN ('queued', 'sent', 'refused')),
    message_id   text        NOT NULL,
    refusal      text,
    created_at   timestamptz NOT NULL,
    sent_at      timestamptz,
    CONSTRAINT mails_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT mails_once_per_event UNIQUE (tenant_id, event_id, kind),
    CONSTRAINT mails_customer FOREIGN KEY (tenant_id, customer_id) REFERENCES customers
);
CREATE INDEX mails_of_customer ON mails (tenant_id, customer_id, id);
CALL tenant_table('mails', 'SELECT, INSERT, UPDATE (status, refusal, sent_at)');
