"""Changing the plan, the quantity or the add-ons of a subscription, up or down.

Now: what the period was billed for and is not used is credited, its rest is billed on the new terms, and the
credit pays the new invoice. Or with the next period: then it is kept until the renewal carries it out.
"""

from collections.abc import Sequence

import msgspec

from billing.credit_notes import store as credit_notes
from billing.credit_notes.model import CreditNoteId, Reason
from billing.invoices.model import Invoice, InvoiceId
from billing.parties import store as parties
from billing.parties.model import CustomerId, Language, LegalEntity, Proration, RefundMode, Settings
from billing.settlement import store as settlements
from billing.settlement.apply import apply_note
from billing.settlement.use import lock_balance, settle_at_issue
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.money import total
from kernel.periods import local_date
from kernel.structs import Value
from kernel.text import Note
from refunds.credit_period import Unused, credit_invoices, in_use
from refunds.model import Change, ChangeWhen, Credit, GivenBack, NewChange
from refunds.rules import terms_of
from subscriptions import addons, changing, plan_store, store
from subscriptions.bill_change import bill_change
from subscriptions.caught_up import caught_up
from subscriptions.events import SubscriptionChangeScheduled, SubscriptionChangeUndone
from subscriptions.model import PendingChange, Plan, Subscription, SubscriptionId
from subscriptions.usage.bill_usage import BilledUsage, bill_usage


class Locked(Value, frozen=True, kw_only=True):
    """A subscription, locked after its customer; whose language their documents are in, and the seller."""

    subscription: Subscription
    language: Language
    entity: LegalEntity


# Why something is credited, where the call does not say it.
CHANGED = {
    Language.FRENCH: Note("Changement d’abonnement"),
    Language.ENGLISH: Note("Change of subscription"),
}


async def change_subscription(tx: Tx, subscription_id: SubscriptionId, request: NewChange) -> Change:
    """Asked for again before it takes effect, the newest counts."""
    locked = await _lock(tx, subscription_id)
    subscription = await caught_up(tx, locked.subscription, at=tx.now)
    locked = msgspec.structs.replace(locked, subscription=subscription)
    agreed = await plan_store.versions_of(tx, subscription.versions)
    current = agreed[subscription.plan_id, subscription.version]
    plan = await _plan(tx, current, request)
    found = await plan_store.plans_named(tx, [each.plan for each in request.addons or ()])
    settings = await parties.settings(tx)

    check(tx, locked, request, settings)
    addons.check_base(plan)
    beside = None
    if request.addons is None:
        addons.check_kept(plan, subscription, agreed)
    else:
        keeps = {} if request.newest_version else agreed
        beside = addons.changed(plan, subscription, request.addons, found, keeps)
    change = changing.terms_asked(subscription, current, plan, request.quantity, beside)
    if subscription.phases and plan is not current:
        raise Conflict(
            "phases_scheduled",
            "Phases of this subscription are to come that follow its plan: schedule others, or none, first.",
        )
    at_end = request.when is ChangeWhen.PERIOD_END
    changing.check_goes_on(subscription, change, at=subscription.current_period.end if at_end else tx.now)

    if at_end:
        return await _schedule(tx, subscription, change)
    return await _change(tx, locked, change, plan, request, by=request.proration or settings.proration)


async def undo_change(tx: Tx, subscription_id: SubscriptionId) -> Subscription:
    """Before it is carried out. The subscription goes on with the terms it has."""
    subscription = (await _lock(tx, subscription_id)).subscription

    if subscription.is_over or subscription.pending_change is None:
        raise Conflict("change_not_scheduled", "No change of this subscription is to come.")
    undone = msgspec.structs.replace(subscription, pending_change=None)

    await store.update(tx, undone)
    outbox.publish(tx, SubscriptionChangeUndone(subscription_id=undone.id, customer_id=undone.customer_id))
    return undone


def check(tx: Tx, locked: Locked, request: NewChange, settings: Settings) -> None:
    """That it can change, and that what the call says fits together."""
    changing.check(locked.subscription)
    if request.when is ChangeWhen.PERIOD_END and (request.proration or request.refund or request.refund_on):
        raise Invalid(
            "change_not_prorated",
            "At the end of the period there is nothing to credit: leave out proration, refund and refund_on.",
            param="when",
        )
    terms_of(
        settings,
        asked=request.refund or RefundMode.NONE,
        refund_on=request.refund_on,
        today=local_date(tx.now, locked.entity.zone),
    )


async def _lock(tx: Tx, subscription_id: SubscriptionId) -> Locked:
    found = await store.get(tx, subscription_id)
    customer = await parties.lock_customer(tx, found.customer_id)
    subscription = await store.lock(tx, subscription_id)
    entity = await parties.legal_entity(tx, customer.legal_entity_id)
    return Locked(subscription=subscription, language=customer.language, entity=entity)


async def _plan(tx: Tx, current: Plan, request: NewChange) -> Plan:
    """The plan asked for: its own as agreed, unless its newest version is."""
    if request.plan is None and not request.newest_version:
        return current
    newest = await plan_store.plan(tx, request.plan or current.id)
    keeps = newest.id == current.id and not request.newest_version
    return current if keeps or newest == current else newest


async def _schedule(tx: Tx, subscription: Subscription, change: PendingChange) -> Change:
    scheduled = msgspec.structs.replace(subscription, pending_change=change)

    await store.update(tx, scheduled)
    outbox.publish(
        tx,
        SubscriptionChangeScheduled(
            subscription_id=scheduled.id,
            customer_id=scheduled.customer_id,
            change_at=scheduled.current_period.end,
        ),
    )
    return await _answer(tx, scheduled)


async def _change(
    tx: Tx, locked: Locked, change: PendingChange, plan: Plan, request: NewChange, *, by: Proration
) -> Change:
    before, zone = locked.subscription, locked.entity.zone
    after = changing.from_now(before, change, plan.interval, now=tx.now, zone=zone)
    share = changing.share_to_bill(before, after, plan.interval, now=tx.now, zone=zone, by=by)
    billed = await store.invoices_of_period(tx, before)
    begins = after.current_period != before.current_period
    unused = in_use(billed) if (share or begins) and by is not Proration.NONE else []
    older = await _lock_notes(tx, unused, before.customer_id)

    # The number series are the last locks: of invoices first, as where a renewal comes before a credit.
    usage = await _bill_usage(tx, before, after)
    await store.update(tx, after)
    if unused:
        await store.stop_lines(tx, before)
    if usage is not None:
        await store.link_change(tx, before, usage.invoice.id, usage.decided)
    invoice = await bill_change(tx, after, share) if share else None
    given_back = await credit_invoices(tx, unused, _unused(tx, locked, request, by), settles=False)
    notes = [each.credit_note.id for each in given_back]
    if invoice and request.refund is None:
        invoice = await _pay_with(tx, invoice, [*older, *notes])
    for note_id in notes:
        await settle_at_issue(tx, await credit_notes.get(tx, note_id))
    outbox.publish(tx, changing.event_of(after))
    return await _answer(tx, after, invoice, given_back, usage_invoice=usage.invoice if usage else None)


async def _bill_usage(tx: Tx, before: Subscription, after: Subscription) -> BilledUsage | None:
    """What was used on one plan is billed by it, before another holds."""
    if (before.plan_id, before.version) == (after.plan_id, after.version):
        return None
    return await bill_usage(tx, before, until=tx.now)


async def _lock_notes(
    tx: Tx, invoice_ids: Sequence[InvoiceId], customer_id: CustomerId
) -> list[CreditNoteId]:
    """The notes that have paid what is about to be credited, locked as it is: they get that back.

    So are those whose rest will pay the new invoice.
    """
    await lock_balance(tx, [customer_id], beside=invoice_ids)
    applied = [
        each for invoice_id in invoice_ids for each in await settlements.lock_applications(tx, invoice_id)
    ]
    return list(dict.fromkeys(each.credit_note_id for each in applied))


def _unused(tx: Tx, locked: Locked, request: NewChange, by: Proration) -> Unused:
    return Unused(
        at=tx.now,
        zone=locked.entity.zone,
        by=by,
        credit=Credit.PRORATED,
        reason=Reason.OTHER,
        reason_text=request.reason_text or CHANGED[locked.language],
        refund=request.refund or RefundMode.NONE,
        refund_on=request.refund_on,
    )


async def _pay_with(tx: Tx, invoice: Invoice, notes: Sequence[CreditNoteId]) -> Invoice:
    """The new invoice with what the notes leave, as far as it goes; what is over stays balance."""
    for note_id in notes:
        note = await credit_notes.get(tx, note_id)
        amount = min(note.settlement.left, invoice.settlement.due)
        if amount:
            _, invoice = await apply_note(tx, note, invoice, amount)
    return invoice


async def _answer(
    tx: Tx,
    subscription: Subscription,
    invoice: Invoice | None = None,
    given_back: Sequence[GivenBack] = (),
    *,
    usage_invoice: Invoice | None = None,
) -> Change:
    notes = await credit_notes.find_many(tx, [each.credit_note.id for each in given_back])
    return Change(
        subscription=subscription,
        credit_notes=tuple(notes),
        invoice=invoice,
        usage_invoice=usage_invoice,
        refunds=tuple(refund for each in given_back for refund in each.refunds),
        to_refund_by_hand=total((each.to_refund_by_hand for each in given_back), subscription.currency),
    )
