-- What comparing a provider's books with ours came to: a report each time, and what differed.

CREATE TABLE drift_reports (
    tenant_id     uuid        NOT NULL,
    id            uuid        NOT NULL,
    connection_id uuid        NOT NULL,
    provider      text        NOT NULL,
    job_id        uuid        NOT NULL,
    since         timestamptz NOT NULL,
    requested_at  timestamptz NOT NULL,
    ended_at      timestamptz,
    compared      bigint      NOT NULL DEFAULT 0 CONSTRAINT drift_reports_compared CHECK (compared >= 0),
    CONSTRAINT drift_reports_pk PRIMARY KEY (tenant_id, id)
);
COMMENT ON COLUMN drift_reports.since IS 'by the world''s clock: what was made at the provider from then on is compared';
CREATE INDEX drift_reports_of_connection ON drift_reports (tenant_id, connection_id, id);
CALL tenant_table('drift_reports', 'SELECT, INSERT, UPDATE (ended_at, compared)');

CREATE TABLE drift_items (
    tenant_id       uuid   NOT NULL,
    id              uuid   NOT NULL,
    drift_report_id uuid   NOT NULL,
    kind            text   NOT NULL,
    done            text   NOT NULL CONSTRAINT drift_items_done CHECK (done IN ('moved', 'recorded', 'left')),
    reference       text   NOT NULL,
    our_id          text,
    currency        text,
    ours_minor      bigint,
    theirs_minor    bigint,
    detail          text,
    CONSTRAINT drift_items_pk PRIMARY KEY (tenant_id, id),
    CONSTRAINT drift_items_once UNIQUE (tenant_id, drift_report_id, kind, reference),
    CONSTRAINT drift_items_report FOREIGN KEY (tenant_id, drift_report_id) REFERENCES drift_reports,
    CONSTRAINT drift_items_currency
        CHECK (currency IS NOT NULL OR (ours_minor IS NULL AND theirs_minor IS NULL))
);
COMMENT ON COLUMN drift_items.reference IS 'the provider''s name of what differs; our_id is ours, both in text';
CALL tenant_table('drift_items', 'SELECT, INSERT');
