"""Idempotency: one attempt of a client has one effect, and one answer."""

import asyncio

import pytest

from kernel import idempotency
from kernel.database import Pool, Tx, begin, commit, leave_behind, rollback, transaction
from kernel.errors import Conflict, Invalid
from kernel.idempotency import KEPT, Answer
from kernel.ids import TenantId
from tests.makers import NOON
from tests.shop import at

BODY = b"sha-256 of the request"


def an_answer(*, status: int = 201, fingerprint: bytes = BODY) -> Answer:
    headers = [("content-type", "application/json"), ("quote", "é")]
    return Answer(fingerprint=fingerprint, status=status, headers=headers, body=b'{"id":"inv_1"}')


async def earlier(tx: Tx, *, fingerprint: bytes = BODY) -> Answer | None:
    return await idempotency.earlier_answer(tx, "key-1", fingerprint=fingerprint)


async def remembered(tx: Tx, key: str, answer: Answer) -> None:
    """Written, as it would be with the commit."""
    idempotency.remember(tx, key, answer)
    await leave_behind(tx)


async def test_the_first_attempt_has_no_answer_yet(tx: Tx) -> None:
    assert await earlier(tx) is None


async def test_the_same_request_gets_the_same_answer(tx: Tx) -> None:
    await remembered(tx, "key-1", an_answer())

    assert await earlier(tx) == an_answer()


async def test_another_request_under_the_same_key_is_refused(tx: Tx) -> None:
    await remembered(tx, "key-1", an_answer())

    with pytest.raises(Invalid) as refused:
        await earlier(tx, fingerprint=b"another")
    assert refused.value.code == "idempotency_key_reused"


async def test_another_tenant_may_use_the_same_key(pool: Pool, tenant: TenantId) -> None:
    async with transaction(pool, tenant, now=NOON) as tx:
        await earlier(tx)
        async with transaction(pool, TenantId.new(), now=NOON) as other:
            assert await earlier(other, fingerprint=b"another") is None


async def test_a_request_that_is_still_running_is_said_to_be_and_not_waited_for(
    pool: Pool, tenant: TenantId
) -> None:
    async with pool.acquire() as conn:
        running = await begin(conn, tenant, now=NOON)
        await earlier(running)
        async with asyncio.timeout(5):
            with pytest.raises(Conflict) as refused:
                async with transaction(pool, tenant, now=NOON) as tx:
                    await earlier(tx)
        assert refused.value.code == "idempotency_in_progress"
        await remembered(running, "key-1", an_answer())
        await commit(running)

    async with transaction(pool, tenant, now=NOON) as tx:
        assert await earlier(tx) == an_answer()


async def test_a_request_that_failed_leaves_its_key_free(pool: Pool, tenant: TenantId) -> None:
    async with pool.acquire() as conn:
        failed = await begin(conn, tenant, now=NOON)
        await earlier(failed)
        await remembered(failed, "key-1", an_answer())
        await rollback(failed)

    async with transaction(pool, tenant, now=NOON) as tx:
        assert await earlier(tx, fingerprint=b"another") is None


async def test_an_answer_is_kept_for_thirty_days(tx: Tx) -> None:
    await remembered(tx, "key-1", an_answer())

    assert await earlier(at(tx, NOON + KEPT)) == an_answer()
    assert await earlier(at(tx, NOON + KEPT * 1.01), fingerprint=b"another") is None


async def test_a_key_that_has_lapsed_takes_a_new_answer(tx: Tx) -> None:
    later = at(tx, NOON + KEPT * 2)
    await remembered(tx, "key-1", an_answer())
    await remembered(later, "key-1", an_answer(fingerprint=b"another", status=200))

    assert await earlier(later, fingerprint=b"another") == an_answer(fingerprint=b"another", status=200)


async def test_lapsed_answers_are_forgotten_and_the_others_kept(tx: Tx) -> None:
    await remembered(tx, "key-1", an_answer())
    await remembered(at(tx, NOON + KEPT), "key-2", an_answer())

    await idempotency.forget_lapsed(at(tx, NOON + KEPT * 1.01))

    assert await tx.conn.fetchval("SELECT array_agg(key) FROM idempotency_answers") == ["key-2"]
