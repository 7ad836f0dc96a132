"""Carrying out a settlement batch, some notes at a time: killed in between, it goes on where it was."""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import nullcontext

import structlog
from msgspec.structs import replace

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.settlement.batches import rules, store
from billing.settlement.batches.model import (
    NO_INVOICE,
    NOWHERE,
    BatchStatus,
    Mark,
    SettlementBatch,
    SettlementBatchId,
)
from billing.settlement.batches.rules import Dues
from billing.settlement.batches.store import Rest
from billing.settlement.bulk import store as documents
from billing.settlement.bulk.apply import apply_pairs
from billing.settlement.bulk.model import Between, OpenInvoice, OpenNote, Pair
from kernel.database import Tx, rehearsal, savepoint
from kernel.money import Money

# Notes of a chunk, and invoices at most between two parties.
CHUNK = 2_000

log = structlog.get_logger("settlement batch")


async def advance(tx: Tx, batch_id: SettlementBatchId, *, limit: int = CHUNK) -> SettlementBatch:
    """One chunk. Twice at once, the second waits and goes on after the first."""
    batch, mark = await store.lock(tx, batch_id)
    if batch.is_over:
        return batch
    mark = mark or NOWHERE
    rests = await store.notes_after(tx, batch, mark, limit=limit)
    found = await _dues(tx, batch, rests, mark, limit=limit)
    own = [each.invoice_id for each in rests if each.invoice_id]
    due = [invoice_id for each in found.values() for invoice_id in each.invoice_ids]
    invoices = await documents.lock_invoices(tx, {*due, *own})
    notes = await documents.lock_notes(tx, [each.id for each in rests])

    walk = rules.walk(
        [notes[each.id] for each in rests],
        {
            between: Dues(invoices=[invoices[each] for each in of.invoice_ids], more=of.more)
            for between, of in found.items()
        },
        mark,
        more=len(rests) == limit,
        simulated=batch.simulate,
    )

    failed: Counter[str] = Counter()
    async with rehearsal(tx) if batch.simulate else nullcontext():
        pairs = await _applied(tx, walk.pairs, notes, invoices, failed)
    after = replace(
        batch.to(BatchStatus.RUNNING),
        examined=batch.examined + walk.examined,
        applications=batch.applications + len(pairs),
        applied=rules.added(batch.applied, pairs),
        refused=rules.refused_with(batch.refused, {**walk.refused, **failed}),
    )
    if walk.mark is None:
        after = after.to(BatchStatus.DONE, ended_at=tx.now)
    await store.update(tx, after, walk.mark)
    return after


async def _dues(
    tx: Tx, batch: SettlementBatch, rests: Sequence[Rest], mark: Mark, *, limit: int
) -> dict[Between, store.Found]:
    """A little more than is left, where some of an invoice is taken already in what is simulated."""
    left: dict[Between, Money] = {}
    for each in rests:
        left[each.between] = left[each.between] + each.left if each.between in left else each.left
    after = dict.fromkeys(left, NO_INVOICE)
    for due in mark.dues:
        between = mark.customer_id, due.legal_entity_id, due.currency
        if between in left:
            after[between] = due.after
            left[between] += Money(due.used, due.currency)
    return await store.dues(tx, batch, left, after, limit=limit) if left else {}


async def _applied(
    tx: Tx,
    pairs: Sequence[Pair],
    notes: Mapping[CreditNoteId, OpenNote],
    invoices: Mapping[InvoiceId, OpenInvoice],
    failed: Counter[str],
) -> Sequence[Pair]:
    """All at once; where that fails, by halves, until the customer whose fails is alone and is left out."""
    if not pairs:
        return ()
    try:
        async with savepoint(tx):
            await apply_pairs(tx, pairs, notes, invoices)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the others are settled
        customers = list(dict.fromkeys(notes[each.credit_note_id].customer_id for each in pairs))
        if len(customers) == 1:
            log.warning("not settled", customer=str(customers[0]), error=type(error).__name__)
            failed["internal"] += len({each.credit_note_id for each in pairs})
            return ()
    else:
        return pairs
    first = set(customers[: len(customers) // 2])
    halves: tuple[list[Pair], list[Pair]] = [], []
    for pair in pairs:
        halves[notes[pair.credit_note_id].customer_id not in first].append(pair)
    applied = [await _applied(tx, half, notes, invoices, failed) for half in halves]
    return [*applied[0], *applied[1]]
