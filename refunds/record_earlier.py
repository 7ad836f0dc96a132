"""Recording what of a credit note had gone back past us before it was issued."""

from collections.abc import Sequence

from billing.credit_notes import store as credit_notes
from billing.parties.model import RefundMode
from kernel.database import Tx
from kernel.errors import Invalid
from refunds.model import GivenBack, NewManualRefund
from refunds.record_refund import record_refund


async def record_earlier(tx: Tx, given: GivenBack, parts: Sequence[NewManualRefund]) -> GivenBack:
    """In the transaction that issues the note."""
    if not parts:
        return given
    if given.credit_note.refund_mode is not RefundMode.MANUAL:
        raise Invalid(
            "already_refunded_not_manual",
            "What has gone back past us goes with the refund mode manual.",
            param="already_refunded",
        )
    recorded = [await record_refund(tx, given.credit_note.id, part) for part in parts]
    note = await credit_notes.get(tx, given.credit_note.id)
    return GivenBack(credit_note=note, refunds=tuple(recorded), to_refund_by_hand=note.settlement.promised)
