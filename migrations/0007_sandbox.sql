-- A payment provider of our own, for tests and demos. It is somebody else's house: no tenant of ours in it.

CREATE SCHEMA sandbox;
GRANT USAGE ON SCHEMA sandbox TO ristourne_app;

CREATE TABLE sandbox.charges (
    id           text        NOT NULL CONSTRAINT charges_pk PRIMARY KEY,
    our_id       uuid        NOT NULL CONSTRAINT charges_our_id UNIQUE,
    token        text        NOT NULL,
    currency     text        NOT NULL,
    amount_minor bigint      NOT NULL CONSTRAINT charges_amount CHECK (amount_minor > 0),
    status       text        NOT NULL CONSTRAINT charges_status CHECK (status IN ('succeeded', 'failed', 'pending')),
    failure_code text,
    settles_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE sandbox.refunds (
    id           text        NOT NULL CONSTRAINT refunds_pk PRIMARY KEY,
    our_id       uuid        NOT NULL CONSTRAINT refunds_our_id UNIQUE,
    charge_id    text        NOT NULL CONSTRAINT refunds_charge REFERENCES sandbox.charges,
    amount_minor bigint      NOT NULL CONSTRAINT refunds_amount CHECK (amount_minor > 0),
    status       text        NOT NULL CONSTRAINT refunds_status CHECK (status IN ('succeeded', 'failed', 'pending')),
    failure_code text,
    settles_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE ON sandbox.charges, sandbox.refunds TO ristourne_app;
