-- The customer's bank takes a payment back, or may: a dispute, open until it is won or lost.

CREATE TABLE disputes (
    tenant_id    uuid        NOT NULL,
    id           uuid        NOT NULL,
    payment_id   uuid        NOT NULL,
    customer_id  uuid        NOT NULL,
    currency     text        NOT NULL,
    amount_minor bigint      NOT NULL CONSTRAINT disputes_amount CHECK (amount_minor > 0),
    status       text        NOT NULL CONSTRAINT disputes_status CHECK (status IN ('open', 'won', 'lost')),
    reason       text,
    reference    text,
    opened_at    timestamptz NOT NULL,
    closed_at    timestamptz,
    CONSTRAINT disputes_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT disputes_reference UNIQUE (tenant_id, reference),
    CONSTRAINT disputes_closed CHECK ((status = 'open') = (closed_at IS NULL)),
    CONSTRAINT disputes_payment FOREIGN KEY (tenant_id, payment_id) REFERENCES payments
);
COMMENT ON COLUMN disputes.reference IS 'what the provider calls it';
CREATE INDEX disputes_of_payment ON disputes (tenant_id, payment_id);
CREATE INDEX disputes_of_customer ON disputes (tenant_id, customer_id, id);
CALL tenant_table('disputes', 'SELECT, INSERT, UPDATE (status, closed_at)');

ALTER TABLE payments
    ADD COLUMN disputed_minor bigint NOT NULL DEFAULT 0,
    ADD COLUMN charged_back_minor bigint NOT NULL DEFAULT 0,
    ADD CONSTRAINT payments_disputed
        CHECK (0 <= charged_back_minor AND charged_back_minor <= disputed_minor AND disputed_minor <= amount_minor);
COMMENT ON COLUMN payments.disputed_minor IS 'in disputes that are open or were lost: it cannot go back';
COMMENT ON COLUMN payments.charged_back_minor IS 'in disputes that were lost: it has gone';
GRANT UPDATE (disputed_minor, charged_back_minor) ON payments TO ristourne_app;
