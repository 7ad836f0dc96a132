"""Billing released lines again."""

from collections.abc import Sequence
from itertools import groupby

from billing.invoices.model import Draft, Invoice
from billing.parties.model import Customer
from billing.released import rules, store
from billing.released.events import ReleasedLinesBilled
from billing.released.model import ReleasedLine
from kernel import outbox
from kernel.database import Tx
from kernel.money import total


async def released_lines_of(tx: Tx, draft: Draft, customer: Customer) -> list[ReleasedLine]:
    """What the draft names, which it may bill as things stand; other drafts may, too."""
    rules.check_form(draft)
    lines = await store.find_many(tx, draft.released_lines) if draft.released_lines else []
    for line in lines:
        rules.check(line, draft, customer)
    return lines


async def lock_released_lines(tx: Tx, draft: Draft, customer: Customer) -> list[ReleasedLine]:
    """Locked until they are billed."""
    lines = await store.lock_many(tx, draft.released_lines) if draft.released_lines else []
    for line in lines:
        rules.check(line, draft, customer)
    return lines


async def mark_billed(tx: Tx, lines: Sequence[ReleasedLine], invoice: Invoice) -> None:
    """`invoice` has just been issued with them; they have been locked, and were free."""
    if not lines:
        return
    marked = await store.mark_billed(tx, [line.id for line in lines], by=invoice.id)
    assert marked == len(lines), "what is locked and free can be billed"
    outbox.publish(tx, *_events(lines, invoice))


def _events(lines: Sequence[ReleasedLine], invoice: Invoice) -> list[ReleasedLinesBilled]:
    """One for each credit note, in whose activity it stands."""
    by_note = sorted(lines, key=lambda line: line.credit_note_id.bytes)
    return [
        ReleasedLinesBilled(
            credit_note_id=note_id,
            invoice_id=invoice.id,
            customer_id=invoice.customer_id,
            released_lines=tuple(line.id for line in those),
            amount=total((line.amount for line in those), invoice.currency),
        )
        for note_id, group in groupby(by_note, key=lambda line: line.credit_note_id)
        for those in [list(group)]
    ]
