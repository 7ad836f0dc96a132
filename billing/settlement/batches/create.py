"""Asking for a settlement batch, and calling it off."""

from msgspec.structs import replace

from billing.settlement.batches import store
from billing.settlement.batches.model import (
    BatchStatus,
    NewSettlementBatch,
    SettlementBatch,
    SettlementBatchId,
)
from kernel import jobs
from kernel.database import Tx

SETTLING_ALL = "settle_batch"


async def create_settlement_batch(tx: Tx, request: NewSettlementBatch) -> SettlementBatch:
    """A worker carries it out."""
    batch = SettlementBatch(
        id=SettlementBatchId.new(),
        currency=request.currency,
        issued_before=request.issued_before,
        simulate=request.simulate,
        status=BatchStatus.QUEUED,
        examined=0,
        total=0,
        applications=0,
        applied=(),
        refused=(),
        created_at=tx.now,
        ended_at=None,
    )
    batch = replace(batch, total=await store.count_notes(tx, batch))

    await store.insert(tx, batch)
    await jobs.schedule(tx, SETTLING_ALL, {"settlement_batch_id": str(batch.id)}, due=tx.now)
    return batch


async def cancel_settlement_batch(tx: Tx, batch_id: SettlementBatchId) -> SettlementBatch:
    """What it has applied so far stays."""
    batch, mark = await store.lock(tx, batch_id)
    cancelled = batch.to(BatchStatus.CANCELLED, ended_at=tx.now)

    if cancelled != batch:
        await store.update(tx, cancelled, mark)
    return cancelled
