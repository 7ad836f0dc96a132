"""One attempt of a client has one effect. The answer is kept in the transaction of the effect."""

import hashlib
from datetime import timedelta

from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.structs import Row, Value, load

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
    row = await _hold(tx, key)
    if not row["held"]:
        raise Conflict(
            "idempotency_in_progress",
            "A request with this Idempotency-Key is still running. Retry it in a moment.",
        )
    if row["fingerprint"] is None:
        return None
    if row["fingerprint"] != fingerprint:
        raise Invalid(
            "idempotency_key_reused",
            "This Idempotency-Key came with another request before. Use a new key.",
            param="Idempotency-Key",
        )
    return load(row, Answer)


def remember(tx: Tx, key: str, answer: Answer) -> None:
    """Keep the answer for KEPT, from the commit on."""
    tx.answer = (key, answer.fingerprint, answer.status, answer.headers, answer.body)


async def forget_lapsed(tx: Tx) -> None:
    await tx.conn.execute(
        """
        DELETE FROM idempotency_answers
        WHERE tenant_id = $1 AND created_at < $2
        """,
        tx.tenant,
        tx.wall - KEPT,
    )


async def _hold(tx: Tx, key: str) -> Row:
    """Trying does not wait: a waiting lock would keep a connection from the pool for each retry."""
    digest = hashlib.sha256(tx.tenant.bytes + key.encode()).digest()
    lock = int.from_bytes(digest[:8], "big", signed=True)
    row = await tx.conn.fetchrow(
        """
        SELECT held, fingerprint, status, headers, body
        FROM hold_idempotency_key($1, $2, $3, $4)
        """,
        tx.tenant,
        key,
        lock,
        tx.wall - KEPT,
    )
    assert row is not None, "the function answers whether it holds"
    return row
