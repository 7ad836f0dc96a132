-- A test tenant's own clock, and the tenant's own time for which a job is scheduled.

CREATE TABLE test_clocks (
    tenant_id     uuid        NOT NULL CONSTRAINT test_clocks_pk PRIMARY KEY,
    now_at        timestamptz NOT NULL,
    previous_at   timestamptz,
    advanced_from timestamptz NOT NULL,
    advancing_to  timestamptz,
    waits_since   timestamptz NOT NULL,
    held_by       uuid,
    held_until    timestamptz,
    CONSTRAINT test_clocks_goes_forward CHECK (advanced_from <= now_at AND now_at <= advancing_to),
    CONSTRAINT test_clocks_hold CHECK ((held_by IS NULL) = (held_until IS NULL))
);
COMMENT ON COLUMN test_clocks.previous_at IS 'where it stood before now_at';
COMMENT ON COLUMN test_clocks.waits_since IS 'wall time: when it came to now_at, or set out from it';
COMMENT ON COLUMN test_clocks.held_until IS 'wall time: the lease of the worker that is inside the tenant';
CALL tenant_table('test_clocks',
    'SELECT, INSERT, UPDATE (now_at, previous_at, advanced_from, advancing_to, waits_since, held_by, held_until)');

-- From here on due_at is wall time only: the earliest try. The owner is subject to forced row security too.
ALTER TABLE jobs ADD COLUMN scheduled_for timestamptz;
ALTER TABLE jobs NO FORCE ROW LEVEL SECURITY;
UPDATE jobs SET scheduled_for = due_at, due_at = LEAST(due_at, now());
ALTER TABLE jobs FORCE ROW LEVEL SECURITY;
ALTER TABLE jobs ALTER COLUMN scheduled_for SET NOT NULL;
COMMENT ON COLUMN jobs.scheduled_for IS 'the tenant''s own time';
COMMENT ON COLUMN jobs.due_at IS 'wall time: the earliest try, or the end of the lease';
DROP INDEX jobs_due;
CREATE INDEX jobs_due ON jobs (tenant_id, GREATEST(scheduled_for, due_at), id) WHERE state IN ('waiting', 'running');
