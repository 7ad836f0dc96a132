"""Settlement batches: credit notes settle invoices, of all customers at once."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.operations import command, query
from billing.settlement.batches import create, store
from billing.settlement.batches.model import NewSettlementBatch, SettlementBatch, SettlementBatchId
from kernel.database import Tx
from kernel.paging import Page, Window


@query("/v1/settlement_batches", scope="settlements:read")
async def list_settlement_batches(
    tx: NamedDependency[Tx], window: NamedDependency[Window]
) -> Page[SettlementBatch]:
    """List settlement batches, newest first."""
    return await store.page(tx, window)


@query("/v1/settlement_batches/{settlement_batch_id}", scope="settlements:read")
async def get_settlement_batch(
    tx: NamedDependency[Tx], settlement_batch_id: FromPath[SettlementBatchId]
) -> SettlementBatch:
    """Read how far a settlement batch is, what it has applied, and which notes settled nothing."""
    return await store.get(tx, settlement_batch_id)


@command("/v1/settlement_batches", scope="settlements:write", status=202)
async def create_settlement_batch(
    tx: NamedDependency[Tx], data: JSONBody[NewSettlementBatch]
) -> SettlementBatch:
    """Settle what is due with what is left of credit notes: of all customers, the oldest first.

    A worker goes through them, chunk by chunk. Notes pay on invoices of the same customer, seller and
    currency. To `simulate` undoes each chunk, and reports the same.
    """
    return await create.create_settlement_batch(tx, data)


@command("/v1/settlement_batches/{settlement_batch_id}/cancel", scope="settlements:write")
async def cancel_settlement_batch(
    tx: NamedDependency[Tx], settlement_batch_id: FromPath[SettlementBatchId]
) -> SettlementBatch:
    """Call a settlement batch off: what it has applied so far stays."""
    return await create.cancel_settlement_batch(tx, settlement_batch_id)


ROUTES = [
    list_settlement_batches,
    get_settlement_batch,
    create_settlement_batch,
    cancel_settlement_batch,
]
