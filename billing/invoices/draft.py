"""Drafts: invoices to be, with free lines and discounts."""

from collections.abc import Sequence

import msgspec

from billing.deposits.deduct import check_deposits, deduct, lock_deposits
from billing.deposits.rules import references_of
from billing.invoices import store, totals
from billing.invoices.free_lines import free_lines
from billing.invoices.issue import issue_invoice
from billing.invoices.model import (
    Collection,
    Draft,
    DraftChange,
    DraftKind,
    Invoice,
    InvoiceId,
    NewDraft,
    PricedLine,
)
from billing.invoices.ready import ToIssue
from billing.parties import store as parties
from billing.parties.model import Customer, LegalEntity
from billing.released import rules as released
from billing.released.bill_again import lock_released_lines, mark_billed, released_lines_of
from billing.released.model import ReleasedLine
from kernel.database import Tx
from kernel.errors import Invalid
from kernel.structs import sent_fields


async def draft_invoice(tx: Tx, request: NewDraft) -> Draft:
    customer = await parties.customer(tx, request.customer)
    entity = await parties.legal_entity(tx, customer.legal_entity_id)
    settings = await parties.settings(tx)

    draft = Draft(
        id=InvoiceId.new(),
        customer_id=customer.id,
        currency=request.currency,
        lines=tuple(request.lines),
        discounts=tuple(request.discounts),
        tax_behavior=request.tax_behavior or settings.tax_behavior,
        note=request.note,
        metadata=request.metadata,
        created_at=tx.now,
        kind=request.kind,
        deposits=tuple(request.deposits),
        released_lines=tuple(request.released_lines),
    )
    await _check_deposits(tx, draft, customer)
    again = await released_lines_of(tx, draft, customer)
    await priced(tx, draft, again, customer, entity)  # what cannot be issued is refused here already

    await store.insert_draft(tx, draft)
    return draft


async def edit_draft(tx: Tx, draft_id: InvoiceId, change: DraftChange) -> Draft:
    before = await store.lock_draft(tx, draft_id)
    sent = sent_fields(change)
    customer = await parties.customer(tx, sent.pop("customer", before.customer_id))
    entity = await parties.legal_entity(tx, customer.legal_entity_id)

    changes = {name: tuple(value) if isinstance(value, list) else value for name, value in sent.items()}
    draft = msgspec.structs.replace(before, customer_id=customer.id, **changes)
    await _check_deposits(tx, draft, customer)
    again = await released_lines_of(tx, draft, customer)
    await priced(tx, draft, again, customer, entity)

    await store.update_draft(tx, draft)
    return draft


async def delete_draft(tx: Tx, draft_id: InvoiceId) -> None:
    await store.lock_draft(tx, draft_id)
    await store.delete_draft(tx, draft_id)


async def issue_draft(tx: Tx, draft_id: InvoiceId) -> Invoice:
    """The invoice takes the draft's id; the draft is gone."""
    draft = await store.lock_draft(tx, draft_id)
    customer = await parties.customer(tx, draft.customer_id)
    entity = await parties.legal_entity(tx, customer.legal_entity_id)

    deposits, deductions = await lock_deposits(tx, draft.deposits, customer, draft.currency)
    again = await lock_released_lines(tx, draft, customer)
    lines = await priced(tx, draft, again, customer, entity)

    await store.delete_draft(tx, draft_id)
    invoice = await issue_invoice(
        tx,
        ToIssue(
            id=draft.id,
            entity=entity,
            customer=customer,
            currency=draft.currency,
            tax_behavior=draft.tax_behavior,
            lines=lines,
            collection=Collection.SEND_INVOICE,
            note=draft.note,
            metadata=draft.metadata,
            kind=draft.invoice_kind,
            references=references_of(deposits),
            deductions=deductions,
        ),
    )
    await deduct(tx, invoice, deposits)
    await mark_billed(tx, again, invoice)
    return invoice


async def _check_deposits(tx: Tx, draft: Draft, customer: Customer) -> None:
    if draft.deposits and draft.kind is DraftKind.DEPOSIT:
        raise Invalid(
            "deposit_of_deposits",
            "A deposit deducts no others: leave `deposits` out, or draft the final invoice.",
            param="deposits",
        )
    await check_deposits(tx, draft.deposits, customer, draft.currency)


async def priced(
    tx: Tx, draft: Draft, again: Sequence[ReleasedLine], customer: Customer, entity: LegalEntity
) -> Sequence[PricedLine]:
    """The draft's lines with their amounts, discounts and VAT as of now; what it bills again is as it was."""
    lines = await free_lines(tx, draft.lines, draft.currency, customer, entity) if draft.lines else []
    for discount in draft.discounts:
        lines = totals.discounted(lines, "draft", discount)
    lines += released.lines_of(again)
    totals.totals_of(lines, draft.currency, draft.tax_behavior)
    return lines
