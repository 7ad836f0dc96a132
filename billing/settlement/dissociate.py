"""Taking back what was applied, all of it or a part: it is due again, and spendable again."""

from billing.credit_notes import store as credit_notes
from billing.deposits.rules import check_not_deducted
from billing.invoices import store as invoices
from billing.ledger.book import release_vat
from billing.ledger.model import Source
from billing.settlement import store
from billing.settlement.apply import day_of, dissociate_part
from billing.settlement.match import check_amount
from billing.settlement.model import (
    Application,
    Dissociated,
    NewDissociation,
    Settlement,
    SettlementId,
)
from billing.settlement.settle import settle
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.money import Money


async def take_back(tx: Tx, settlement_id: SettlementId, request: NewDissociation) -> Dissociated:
    found = await store.get(tx, settlement_id)
    check_kind(found)
    assert found.credit_note_id is not None
    own_id = (await credit_notes.get(tx, found.credit_note_id)).invoice_id
    locked = await invoices.lock_many(tx, [found.invoice_id, *([own_id] if own_id else [])])
    [invoice] = [each for each in locked if each.id == found.invoice_id]
    note = await credit_notes.lock(tx, found.credit_note_id)
    edge = await store.get(tx, settlement_id)

    check_not_deducted(invoice)
    amount = check(edge, request)

    stays = await dissociate_part(
        tx,
        invoice,
        Application(
            id=edge.id,
            credit_note_id=note.id,
            own_invoice_id=own_id,
            currency=edge.currency,
            amount=edge.amount,
        ),
        amount,
    )
    after = await settle(tx, invoice, offset=-amount)
    await release_vat(tx, after, Source.APPLICATION, edge.id, booked_on=day_of(tx, after))
    return Dissociated(
        undone=await store.get(tx, edge.id), stays=await store.get(tx, stays) if stays else None
    )


def check_kind(edge: Settlement) -> None:
    if edge.is_own:
        raise Conflict(
            "settlement_is_own",
            "What a credit note takes off the invoice that it is on stays there.",
        )
    if edge.deposit_id is not None:
        raise Conflict(
            "settlement_of_deposit",
            "What a final invoice deducts is on its page: credit that invoice.",
        )
    if edge.credit_note_id is None:
        raise Conflict("settlement_of_payment", "A payment stays with the invoice that it paid.")


def check(edge: Settlement, request: NewDissociation) -> Money:
    """How much is taken back: all of it, unless it says."""
    if edge.undone_at is not None:
        raise Conflict(
            "settlement_undone",
            "It has been taken back. What stays of it, if anything, is another settlement of the invoice.",
        )
    if request.amount is None:
        return edge.amount
    check_amount(request.amount, edge.currency, "the settlement", param="amount")
    if request.amount > edge.amount:
        raise Conflict(
            "settlement_exceeds_amount",
            f"{edge.amount} were matched, {request.amount} cannot be taken back.",
            param="amount",
        )
    return request.amount
