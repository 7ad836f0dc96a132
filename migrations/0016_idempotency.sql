-- A key is held and looked up in one go. The lookup sees what was committed before the key was free: inside a
-- volatile function each query has a snapshot of its own.
CREATE FUNCTION hold_idempotency_key(tenant uuid, wanted text, lock_id bigint, oldest timestamptz)
RETURNS TABLE (held boolean, fingerprint bytea, status smallint, headers jsonb, body bytea)
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    held := pg_try_advisory_xact_lock(lock_id);
    IF held THEN
        SELECT a.fingerprint, a.status, a.headers, a.body
        INTO fingerprint, status, headers, body
        FROM idempotency_answers a
        WHERE a.tenant_id = tenant AND a.key = wanted AND a.created_at >= oldest;
    END IF;
    RETURN NEXT;
END
$$;
