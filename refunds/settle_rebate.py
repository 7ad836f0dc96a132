"""Settling a rebate programme: credit notes for what is due, and what becomes of the money."""

from collections.abc import Sequence
from datetime import date

from billing.credit_notes.model import CreditNote, Rebate
from billing.invoices.issue import issue_invoice
from billing.invoices.model import Collection, Invoice, InvoiceId, PricedLine
from billing.invoices.ready import ToIssue
from billing.parties import store as parties
from billing.parties.model import Customer, Language, LegalEntity, RefundMode
from billing.payments.model import Payment
from billing.rebates import store as lines
from billing.rebates.issue import issue_rebate
from billing.rebates.model import Scope, ToRebate
from billing.tax.model import TaxBehavior
from kernel import outbox
from kernel.database import Tx
from kernel.decimals import Quantity, UnitPrice
from kernel.errors import Conflict, Invalid
from kernel.money import allocate
from kernel.periods import local_date
from kernel.text import Name
from promotions.rebates import rules as rebates
from promotions.rebates import store
from promotions.rebates.accruals import History, accrual, history_of
from promotions.rebates.create_contract import schedule_next, zone_of
from promotions.rebates.events import RebateSettled
from promotions.rebates.model import (
    Basis,
    Days,
    Mode,
    NewRebateSettlement,
    RebateContract,
    RebateSettlement,
    RebateSettlementId,
)
from promotions.rebates.rules import Act
from refunds import rules
from refunds.give_back import give_back
from refunds.model import RebateGiven, SettledRebate
from refunds.rules import Terms

TAKEN_BACK = {
    Language.FRENCH: "Reprise de ristourne {reference} ({starts_on} – {ends_on})",
    Language.ENGLISH: "Rebate taken back, {reference} ({starts_on} – {ends_on})",
}


async def settle_rebate(tx: Tx, key: str, request: NewRebateSettlement) -> SettledRebate:
    """What was settled before is not settled again: only what has become due since."""
    contract = await store.lock(tx, key)
    today = local_date(tx.now, await zone_of(tx))
    periods = to_settle(contract, request.on, today)
    members = await store.lock_members(tx, contract)
    history = await history_of(tx, contract, members)
    await _lock_lines(tx, history, periods)

    stand = [await accrual(tx, history, days) for days in periods]
    acts = rebates.acts_of(contract, stand, today=today)

    customers = await parties.customers_of(tx, {act.of.customer_id for act in acts})
    entities = await parties.legal_entities_of(tx, {each.legal_entity_id for each in customers.values()})
    given = []
    for act in sorted(acts, key=_invoices_first):
        customer = customers[act.of.customer_id]
        entity = entities[customer.legal_entity_id]
        scope = history.scope(act.days, [customer.id])
        given.append(
            await _give(tx, contract, act, scope, customer, entity)
            if act.net.minor > 0
            else await _take_back(tx, contract, act, scope, customer, entity)
        )
    return SettledRebate(contract_id=contract.id, settlements=tuple(given))


async def settle_ended(tx: Tx, key: str, *, goes_on: bool) -> None:
    """When a period is over; the next one is settled when that is."""
    contract = await store.get(tx, key)
    zone = await zone_of(tx)
    today = local_date(tx.now, zone)
    if any(days.ends_on <= today for days in rebates.periods_begun(contract, today)):
        await settle_rebate(tx, key, NewRebateSettlement())
    if goes_on:
        await schedule_next(tx, contract, after=today, zone=zone)


def to_settle(contract: RebateContract, on: date | None, today: date) -> list[Days]:
    """The period of the day and all before; or else all that are over."""
    if on is not None and on > today:
        raise Invalid("rebate_on_future", "A period is settled when it has begun.", param="on")
    if on is not None and on < contract.starts_on:
        raise Invalid("rebate_on_early", f"The contract starts on {contract.starts_on}.", param="on")
    begun = rebates.periods_begun(contract, on or today)
    periods = begun if on is not None else [days for days in begun if days.ends_on <= today]
    if not periods:
        raise Conflict(
            "rebate_running",
            "No period of this contract is over yet. To settle the one that runs, tell a day of it in `on`.",
        )
    return periods


def _invoices_first(act: Act) -> bool:
    """Their number series is locked before that of credit notes, as elsewhere."""
    return act.net.minor > 0


async def _lock_lines(tx: Tx, history: History, periods: Sequence[Days]) -> None:
    """All at once, so that it is in one order: from the first day of the first to the last of the last."""
    scope = Scope(
        customers=history.members,
        currency=history.contract.currency,
        starts_on=periods[0].starts_on,
        ends_on=periods[-1].ends_on,
        items=None,
        taken_back=history.not_bought,
    )
    await lines.lock(tx, scope)
    await lines.lock_notes(tx, scope)


async def _give(
    tx: Tx, contract: RebateContract, act: Act, scope: Scope, customer: Customer, entity: LegalEntity
) -> RebateGiven:
    settings = await parties.settings(tx)
    today = local_date(tx.now, entity.zone)
    terms = rules.terms_of(settings, asked=contract.refund, refund_on=None, today=today)
    most = await _refundable(tx, scope, terms, act)
    refund = rules.refunding(terms, most, contract.currency)

    request = ToRebate(
        customer=customer, entity=entity, scope=scope, net=act.net, why=why(contract, act), metadata={}
    )
    note = await issue_rebate(tx, request, refund=refund)
    back = await give_back(tx, note, terms, most, entity)
    settlement = await _record(tx, contract, act, note=note)
    return RebateGiven(
        settlement=settlement,
        number=note.number,
        tax=note.tax,
        total=note.total,
        refunds=back.refunds,
        to_refund_by_hand=back.to_refund_by_hand,
    )


async def _refundable(tx: Tx, scope: Scope, terms: Terms, act: Act) -> list[Payment]:
    """The newest payments in the scope that a provider can carry back, as many as the rebate can need."""
    if terms.mode not in (RefundMode.AUTOMATIC, RefundMode.DEFERRED):
        return []
    return await lines.refundable(tx, scope, at_least=act.net + act.net)


def why(contract: RebateContract, act: Act) -> Rebate:
    """What the page of the note says to justify it."""
    return Rebate(
        contract_id=str(contract.id),
        reference=contract.reference,
        name=contract.name,
        starts_on=act.days.starts_on,
        ends_on=act.days.ends_on,
        marginal=contract.mode is Mode.MARGINAL,
        volume=act.of.volume,
        quantity=act.of.quantity if contract.basis is Basis.QUANTITY else None,
        rate=act.rate,
        earned=act.of.earned,
        settled_before=act.of.issued,
        carried=act.carried,
        invoices=0,
        lines=0,
    )


async def _take_back(
    tx: Tx, contract: RebateContract, act: Act, scope: Scope, customer: Customer, entity: LegalEntity
) -> RebateGiven:
    """An invoice, in the VAT groups that the rebates were in."""
    back = -act.net
    groups = await lines.taxes_given(tx, scope.given)
    parts = allocate(back, [tax.base.minor for tax in groups.values()])
    text = TAKEN_BACK[customer.language].format(
        reference=contract.reference, starts_on=act.days.starts_on, ends_on=act.days.ends_on
    )
    priced = [
        PricedLine(
            description=Name(text),
            quantity=Quantity(1),
            unit_price=UnitPrice(part.decimal),
            amount=part,
            tax=group,
            discountable=False,
        )
        for group, part in zip(groups, parts, strict=True)
        if part
    ]
    invoice = await issue_invoice(
        tx,
        ToIssue(
            id=InvoiceId.new(),
            entity=entity,
            customer=customer,
            currency=contract.currency,
            tax_behavior=TaxBehavior.EXCLUSIVE,
            lines=priced,
            collection=Collection.SEND_INVOICE,
        ),
    )
    settlement = await _record(tx, contract, act, invoice=invoice)
    return RebateGiven(
        settlement=settlement,
        number=invoice.number,
        tax=invoice.tax,
        total=invoice.total,
        refunds=(),
        to_refund_by_hand=invoice.total - invoice.total,
    )


async def _record(
    tx: Tx,
    contract: RebateContract,
    act: Act,
    *,
    note: CreditNote | None = None,
    invoice: Invoice | None = None,
) -> RebateSettlement:
    settlement = RebateSettlement(
        id=RebateSettlementId.new(),
        contract_id=contract.id,
        customer_id=act.of.customer_id,
        starts_on=act.days.starts_on,
        ends_on=act.days.ends_on,
        currency=contract.currency,
        volume=act.of.volume,
        quantity=act.of.quantity,
        earned=act.of.earned,
        net=act.net if note else -act.net,
        credit_note_id=note.id if note else None,
        invoice_id=invoice.id if invoice else None,
        created_at=tx.now,
    )
    await store.insert_settlement(tx, settlement)
    outbox.publish(
        tx,
        RebateSettled(
            rebate_settlement_id=settlement.id,
            rebate_contract_id=contract.id,
            customer_id=settlement.customer_id,
            credit_note_id=settlement.credit_note_id,
            invoice_id=settlement.invoice_id,
        ),
    )
    return settlement
