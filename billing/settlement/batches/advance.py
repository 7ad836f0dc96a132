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
from billing.settlement.batches.rules import Dues, Walk
from billing.settlement.batches.store import Rest
from billing.settlement.bulk import store as documents
from billing.settlement.bulk.apply import apply_pairs
from billing.settlement.bulk.model import Between, OpenInvoice, OpenNote, Pair
from kernel.database import Tx, rehearsal, savepoint
from kernel.money import Money
from kernel.structs import Value

# Notes of a chunk, and invoices at most between two parties.
CHUNK = 2_000

log = structlog.get_logger("settlement batch")


class Overtaken(Exception):
    """Somebody else has gone on with the batch meanwhile, or called it off."""


class Planned(Value, frozen=True, kw_only=True):
    """A chunk that is read, locked and decided. `mark` is where it began."""

    mark: Mark | None
    walk: Walk
    notes: Mapping[CreditNoteId, OpenNote]
    invoices: Mapping[InvoiceId, OpenInvoice]


class Written(Value, frozen=True, kw_only=True):
    """What of a chunk is applied, and which notes could not be."""

    pairs: Sequence[Pair]
    failed: Mapping[str, int]


async def advance(tx: Tx, batch_id: SettlementBatchId, *, limit: int = CHUNK) -> SettlementBatch:
    """One chunk. Twice at once, the second waits and goes on after the first."""
    batch, mark = await store.lock(tx, batch_id)
    if batch.is_over:
        return batch
    planned = await plan(tx, batch, mark, limit=limit)
    return await conclude(tx, batch, planned, await write(tx, batch, planned))


async def plan(tx: Tx, batch: SettlementBatch, mark: Mark | None, *, limit: int) -> Planned:
    """Where the chunk ends is known before it is written: the next can be planned meanwhile."""
    begins = mark or NOWHERE
    rests = await store.notes_after(tx, batch, begins, limit=limit)
    more = len(rests) == limit
    if more and rests[0].between[0] != rests[-1].between[0]:
        # Whole customers, so that the next chunk has none of the documents of this one.
        rests = [each for each in rests if each.between[0] != rests[-1].between[0]]
    found = await _dues(tx, batch, rests, begins, limit=limit)
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
        begins,
        more=more,
        simulated=batch.simulate,
    )
    return Planned(mark=mark, walk=walk, notes=notes, invoices=invoices)


async def write(tx: Tx, batch: SettlementBatch, planned: Planned) -> Written:
    failed: Counter[str] = Counter()
    async with rehearsal(tx) if batch.simulate else nullcontext():
        pairs = await _applied(tx, planned.walk.pairs, planned.notes, planned.invoices, failed)
    return Written(pairs=pairs, failed=failed)


async def conclude(tx: Tx, batch: SettlementBatch, planned: Planned, written: Written) -> SettlementBatch:
    """`batch` is as the chunk before left it. Raises Overtaken."""
    walk = planned.walk
    after = replace(
        batch.to(BatchStatus.RUNNING),
        examined=batch.examined + walk.examined,
        applications=batch.applications + len(written.pairs),
        applied=rules.added(batch.applied, written.pairs),
        refused=rules.refused_with(batch.refused, {**walk.refused, **written.failed}),
    )
    if walk.mark is None:
        after = after.to(BatchStatus.DONE, ended_at=tx.now)
    if not await store.go_on(tx, after, walk.mark, was=planned.mark):
        raise Overtaken
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
