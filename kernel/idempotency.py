"""One attempt of a client has one effect. The answer is kept in the transaction of the effect."""

import hashlib
from datetime import datetime, timedelta

from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.structs import Value, load

KEPT = timedelta(days=30)


class Answer(Value, frozen=True, kw_only=True):
    """What was answered, as it goes over the wire again: `headers` are name and value pairs."""

    fingerprint: bytes
    status: int
    headers: list[tuple[str, str]]
    body: bytes


async def earlier_answer(tx: Tx, key: str, *, fingerprint: bytes) -> Answer | None:
    """What this key was answered before, or None for a first attempt, which now holds the key.

    Raises Conflict `idempotency_in_progress` while another transaction holds the key, and Invalid
    `idempotency_key_reused` when the key came with another request before.
    """
    # Trying does not wait: a waiting lock would keep a connection from the pool for each retry.
    if not await _hold(tx, key):
        raise Conflict(
            "idempotency_in_progress",
            "A request with this Idempotency-Key is still running. Retry it in a moment.",
        )
    answer = await _find(tx, key)
    if answer is not None and answer.fingerprint != fingerprint:
        raise Invalid(
            "idempotency_key_reused",
            "This Idempotency-Key came with another request before. Use a new key.",
            param="Idempotency-Key",
        )
    return answer


async def remember(tx: Tx, key: str, answer: Answer) -> None:
    """Keep the answer for KEPT. An older one under the same key has lapsed and is replaced."""
    await tx.conn.execute(
        """
        INSERT INTO idempotency_answers
            (tenant_id, key, fingerprint, status, headers, body, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (tenant_id, key) DO UPDATE
        SET fingerprint = EXCLUDED.fingerprint,
            status      = EXCLUDED.status,
            headers     = EXCLUDED.headers,
            body        = EXCLUDED.body,
            created_at  = EXCLUDED.created_at
        """,
        tx.tenant,
        key,
        answer.fingerprint,
        answer.status,
        answer.headers,
        answer.body,
        tx.wall,
    )


async def forget_lapsed(tx: Tx) -> None:
    await tx.conn.execute(
        """
        DELETE FROM idempotency_answers
        WHERE tenant_id = $1 AND created_at < $2
        """,
        tx.tenant,
        tx.wall - KEPT,
    )


async def _hold(tx: Tx, key: str) -> bool:
    digest = hashlib.sha256(tx.tenant.bytes + key.encode()).digest()
    lock = int.from_bytes(digest[:8], "big", signed=True)
    return bool(await tx.conn.fetchval("SELECT pg_try_advisory_xact_lock($1)", lock))


async def _find(tx: Tx, key: str) -> Answer | None:
    oldest: datetime = tx.wall - KEPT
    row = await tx.conn.fetchrow(
        """
        SELECT fingerprint, status, headers, body
        FROM idempotency_answers
        WHERE tenant_id = $1 AND key = $2 AND created_at >= $3
        """,
        tx.tenant,
        key,
        oldest,
    )
    return load(row, Answer) if row else None
