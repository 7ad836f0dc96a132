-- Codes that were tried in vain, counted for ten minutes. By wall time: a test clock does not forgive them.

CREATE TABLE coupon_attempts (
    tenant_id    uuid        NOT NULL,
    who          text        NOT NULL,
    failures     integer     NOT NULL CONSTRAINT coupon_attempts_failures CHECK (failures > 0),
    counted_from timestamptz NOT NULL,
    CONSTRAINT coupon_attempts_pk PRIMARY KEY (tenant_id, who)
);
COMMENT ON COLUMN coupon_attempts.who IS 'the reference of a customer, the name of a visitor, or nothing for who gives none';
CREATE INDEX coupon_attempts_age ON coupon_attempts (tenant_id, counted_from);
CALL tenant_table('coupon_attempts', 'SELECT, INSERT, UPDATE (failures, counted_from), DELETE');
