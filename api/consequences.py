"""Everything that happens because of something else, on one screen.

An event, once committed, is dispatched into one job for each of its consequences; what is due at a time is
a job from the start. A job may run twice: each of these finds what the first run did and leaves it alone.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from typing import TypeAlias, TypeVar

import msgspec

from api.house import House
from api.settling import settle_batch
from billing.credit_notes.events import CreditNoteIssued
from billing.dunning.begin import OVERDUE, STEP, fall_overdue, watch
from billing.dunning.events import DunningExhausted, InvoiceOverdue, InvoiceRecovered, InvoiceReminderDue
from billing.dunning.take_step import take_step
from billing.gateways.connections.events import PaymentConnectionCreated, PaymentConnectionKeyChanged
from billing.gateways.connections.model import PaymentConnectionId
from billing.gateways.model import GatewayRefused
from billing.gateways.sandbox import FAILS_LATER
from billing.imports.events import InvoiceImported
from billing.invoices import store as invoices
from billing.invoices.events import InvoiceIssued, InvoiceSettled
from billing.invoices.model import Collection, InvoiceId
from billing.payments import store as payments
from billing.payments.collect import collect_payment
from billing.payments.events import PaymentFailed, PaymentRequested
from billing.payments.model import PaymentId
from billing.payments.resume import RESUMING as RESUMING_PAYMENT
from billing.payments.resume import resume_payment
from billing.settlement.batches.create import SETTLING_ALL
from billing.settlement.batches.model import SettlementBatchId
from kernel.database import Door, Tx
from kernel.events import Event, type_of
from kernel.ids import EventId, Id
from kernel.jobs import Job
from kernel.structs import Value, from_wire
from notifications import letters
from notifications.model import Letter
from notifications.send import send_mail
from promotions.events import RedemptionConverted
from promotions.model import RedemptionId
from promotions.rebates.create_contract import SETTLING
from promotions.release import LAPSING, lapse_due
from refunds.cancel_subscription import CANCELLING, cancel_due
from refunds.end_unpaid import end_unpaid
from refunds.events import InvoiceCorrected, RefundConverted, RefundRequested, RefundSucceeded
from refunds.migrate_subscription import migrate_due
from refunds.model import RefundId
from refunds.request_refund import SENDING
from refunds.send_refund import ask_again, send_refund
from refunds.settle_rebate import settle_ended
from subscriptions.backtests.advance import advance
from subscriptions.backtests.create_back_test import TRYING
from subscriptions.backtests.model import BackTestId
from subscriptions.convert_offers import convert_offers
from subscriptions.events import OfferEndsSoon, SubscriptionCancelled
from subscriptions.fall_past_due import follow_invoice
from subscriptions.migrate_plan import MIGRATING
from subscriptions.model import SubscriptionId
from subscriptions.release_offers import release_offers
from subscriptions.remind import REMINDING, remind
from subscriptions.resume import RESUMING, resume_due
from subscriptions.reward_referrer import reward_referrer
from webhooks.drift.model import DriftReportId
from webhooks.drift.reconcile import reconcile
from webhooks.drift.request import RECONCILING
from webhooks.follow import follow_waiting
from webhooks.model import ObjectKind, ProviderObject
from webhooks.provider import Provider
from webhooks.receive import FOLLOWING

E = TypeVar("E", bound=Event)

# How long to wait for a provider that has taken a charge or refund and not yet decided.
NOT_DECIDED = timedelta(seconds=2)
LONGEST_WAIT = timedelta(hours=6)
# Of a back-test in one run of its job.
CHUNKS = 20


class Work(Value, frozen=True, kw_only=True):
    """One run of one job."""

    house: House
    door: Door
    job: Job

    def event(self, kind: type[E]) -> E:
        return msgspec.convert(self.job.data, kind, dec_hook=from_wire)

    @property
    def invoice_id(self) -> InvoiceId:
        return InvoiceId.parse(str(self.job.data["invoice_id"]))

    @property
    def event_id(self) -> EventId:
        assert self.job.event_id is not None, f"{self.job.kind} is no consequence of an event"
        return self.job.event_id


# Done, or when to look again.
Consequence: TypeAlias = Callable[[Work], Awaitable[timedelta | None]]


async def collect_issued(work: Work) -> timedelta | None:
    event = work.event(InvoiceIssued)
    if event.collection is Collection.SEND_INVOICE:
        await _inside(work, lambda tx: _wait_for(tx, event.invoice_id))
        return None
    return await _collect(work, event.invoice_id)


async def wait_for_imported(work: Work) -> None:
    event = work.event(InvoiceImported)
    if event.dunned:
        await _inside(work, lambda tx: _wait_for(tx, event.invoice_id))


async def collect_requested(work: Work) -> timedelta | None:
    event = work.event(PaymentRequested)
    return await _collect(work, event.invoice_id)


async def _collect(work: Work, invoice_id: InvoiceId) -> timedelta | None:
    gateway = await work.house.gateways.to_charge(work.door, PaymentId(work.event_id.bytes))
    decided = await collect_payment(work.door, gateway, work.event_id, invoice_id)
    return None if decided else _not_decided(work, work.event_id)


async def resume_when_forgotten(work: Work) -> timedelta | None:
    payment_id = PaymentId.parse(str(work.job.data["payment_id"]))
    gateway = await work.house.gateways.to_charge(work.door, payment_id)
    decided = await resume_payment(work.door, gateway, payment_id)
    return None if decided else _not_decided(work, payment_id)


async def send_due_refund(work: Work) -> timedelta | None:
    refund_id = RefundId.parse(str(work.job.data["refund_id"]))
    gateway = await work.house.gateways.to_refund(work.door, refund_id)
    decided = await send_refund(work.door, gateway, refund_id)
    return None if decided else _not_decided(work, refund_id)


def _not_decided(work: Work, since: Id) -> timedelta:
    return patience(work.door.now() - since.made_at)


def patience(age: timedelta) -> timedelta:
    """A direct debit takes days: the longer a provider has taken, the longer it may take more."""
    return min(max(NOT_DECIDED, age / 4), LONGEST_WAIT)


async def check_new_connection(work: Work) -> None:
    event = work.event(PaymentConnectionCreated)
    await work.house.gateways.check(work.door, event.payment_connection_id)


async def check_changed_key(work: Work) -> None:
    event = work.event(PaymentConnectionKeyChanged)
    await work.house.gateways.check(work.door, event.payment_connection_id)


async def follow_told(work: Work) -> None:
    data = work.job.data
    about = ProviderObject(kind=ObjectKind(str(data["kind"])), reference=str(data["reference"]))
    await follow_waiting(work.door, await _provider(work), about)


async def reconcile_when_asked(work: Work) -> None:
    report_id = DriftReportId.parse(str(work.job.data["drift_report_id"]))
    await reconcile(work.door, await _provider(work), report_id)


async def _provider(work: Work) -> Provider:
    connection_id = PaymentConnectionId.parse(str(work.job.data["connection_id"]))
    books = await work.house.gateways.stripe(work.door, connection_id)
    if books is None:
        raise GatewayRefused("gateway_missing")
    return Provider(name=books.name, connection_id=connection_id, books=books)


async def cancel_when_due(work: Work) -> None:
    subscription_id = SubscriptionId.parse(str(work.job.data["subscription_id"]))
    async with work.door.open() as tx:
        await cancel_due(tx, subscription_id)


async def resume_when_due(work: Work) -> None:
    subscription_id = SubscriptionId.parse(str(work.job.data["subscription_id"]))
    await _inside(work, lambda tx: resume_due(tx, subscription_id))


async def migrate_when_due(work: Work) -> None:
    subscription_id = SubscriptionId.parse(str(work.job.data["subscription_id"]))
    await _inside(work, lambda tx: migrate_due(tx, subscription_id))


async def remind_when_due(work: Work) -> None:
    redemption_id = RedemptionId.parse(str(work.job.data["redemption_id"]))
    await _inside(work, lambda tx: remind(tx, redemption_id))


async def try_on_the_past(work: Work) -> timedelta | None:
    """Some chunks, each committed; the rest in another run, so that the lease holds."""
    back_test_id = BackTestId.parse(str(work.job.data["back_test_id"]))
    for _ in range(CHUNKS):
        async with work.door.open() as tx:
            if not await advance(tx, back_test_id):
                return None
    return timedelta(0)


async def settle_all_customers(work: Work) -> None:
    """Killed, the next worker goes on where it was."""
    batch_id = SettlementBatchId.parse(str(work.job.data["settlement_batch_id"]))
    await settle_batch(work.door, batch_id)


async def lapse_when_due(work: Work) -> None:
    redemption_id = RedemptionId.parse(str(work.job.data["redemption_id"]))
    await _inside(work, lambda tx: lapse_due(tx, redemption_id))


async def fall_overdue_when_due(work: Work) -> None:
    await _inside(work, lambda tx: fall_overdue(tx, work.invoice_id))


async def take_dunning_step(work: Work) -> None:
    await _inside(work, lambda tx: take_step(tx, work.invoice_id))


async def follow_overdue(work: Work) -> None:
    await _inside(work, lambda tx: follow_invoice(tx, work.invoice_id))


async def end_unpaid_subscription(work: Work) -> None:
    await _inside(work, lambda tx: end_unpaid(tx, work.invoice_id))


async def settle_rebate_when_due(work: Work) -> None:
    data = work.job.data
    key, goes_on = str(data["rebate_contract_id"]), bool(data["goes_on"])
    await _inside(work, lambda tx: settle_ended(tx, key, goes_on=goes_on))


async def convert_redemptions(work: Work) -> None:
    event = work.event(InvoiceSettled)
    await _inside(work, lambda tx: convert_offers(tx, event.invoice_id))


async def reward_who_referred(work: Work) -> None:
    event = work.event(RedemptionConverted)
    await _inside(work, lambda tx: reward_referrer(tx, event.redemption_id))


async def release_redemptions(work: Work) -> None:
    event = work.event(CreditNoteIssued)
    await _inside(work, lambda tx: release_offers(tx, event.credit_note_id))


async def mail_invoice(work: Work) -> None:
    event = work.event(InvoiceIssued)
    await _mail(work, lambda tx: letters.invoice_issued(tx, event.invoice_id))


async def mail_correction(work: Work) -> None:
    event = work.event(InvoiceCorrected)
    await _mail(work, lambda tx: letters.invoice_corrected(tx, event))


async def mail_credit_note(work: Work) -> None:
    event = work.event(CreditNoteIssued)
    await _mail(work, lambda tx: letters.credit_note_issued(tx, event.credit_note_id))


async def mail_payment_failed(work: Work) -> None:
    event = work.event(PaymentFailed)
    await _mail(work, lambda tx: letters.payment_failed(tx, event.payment_id))


async def mail_reminder(work: Work) -> None:
    await _mail(work, lambda tx: letters.invoice_reminder(tx, work.invoice_id))


async def mail_refund(work: Work) -> None:
    event = work.event(RefundSucceeded)
    await _mail(work, lambda tx: letters.refund_succeeded(tx, event.refund_id))


async def ask_sandbox_again(work: Work) -> timedelta | None:
    """A provider tells by itself that a refund has failed after it had succeeded; the sandbox is asked."""
    event = work.event(RefundSucceeded)
    if event.payment_id is None:
        return None
    async with work.door.open() as tx:
        payment = await payments.get(tx, event.payment_id)
    if payment.payment_method != FAILS_LATER:
        return None
    if work.job.attempt == 1:
        return NOT_DECIDED
    gateway = await work.house.gateways.to_refund(work.door, event.refund_id)
    await ask_again(work.door, gateway, event.refund_id)
    return None


async def mail_kept_refund(work: Work) -> None:
    event = work.event(RefundConverted)
    await _mail(work, lambda tx: letters.refund_converted(tx, event.refund_id))


async def mail_cancellation(work: Work) -> None:
    event = work.event(SubscriptionCancelled)
    await _mail(work, lambda tx: letters.subscription_cancelled(tx, event.subscription_id))


async def mail_offer_end(work: Work) -> None:
    event = work.event(OfferEndsSoon)
    await _mail(work, lambda tx: letters.offer_ends_soon(tx, event.redemption_id))


async def _wait_for(tx: Tx, invoice_id: InvoiceId) -> None:
    await watch(tx, await invoices.get(tx, invoice_id))


async def _inside(work: Work, act: Callable[[Tx], Awaitable[object]]) -> None:
    async with work.door.open() as tx:
        await act(tx)


async def _mail(work: Work, read: Callable[[Tx], Awaitable[Letter | None]]) -> None:
    await send_mail(work.door, work.house.mailer, work.event_id, read)


BECAUSE_OF: Mapping[type[Event], Sequence[Consequence]] = {
    InvoiceIssued: (collect_issued, mail_invoice),
    InvoiceImported: (wait_for_imported,),
    InvoiceCorrected: (mail_correction,),
    PaymentRequested: (collect_requested,),
    PaymentConnectionCreated: (check_new_connection,),
    PaymentConnectionKeyChanged: (check_changed_key,),
    PaymentFailed: (mail_payment_failed,),
    InvoiceOverdue: (follow_overdue,),
    InvoiceReminderDue: (mail_reminder,),
    InvoiceSettled: (convert_redemptions,),
    RedemptionConverted: (reward_who_referred,),
    InvoiceRecovered: (follow_overdue,),
    DunningExhausted: (end_unpaid_subscription,),
    CreditNoteIssued: (mail_credit_note, release_redemptions),
    RefundRequested: (send_due_refund,),
    RefundSucceeded: (mail_refund, ask_sandbox_again),
    RefundConverted: (mail_kept_refund,),
    SubscriptionCancelled: (mail_cancellation,),
    OfferEndsSoon: (mail_offer_end,),
}

WHEN_DUE: Mapping[str, Consequence] = {
    SENDING: send_due_refund,
    RESUMING_PAYMENT: resume_when_forgotten,
    CANCELLING: cancel_when_due,
    RESUMING: resume_when_due,
    MIGRATING: migrate_when_due,
    REMINDING: remind_when_due,
    TRYING: try_on_the_past,
    LAPSING: lapse_when_due,
    OVERDUE: fall_overdue_when_due,
    STEP: take_dunning_step,
    SETTLING: settle_rebate_when_due,
    SETTLING_ALL: settle_all_customers,
    FOLLOWING: follow_told,
    RECONCILING: reconcile_when_asked,
}

# What may be over a million rows, and takes its time.
SLOW = frozenset({RECONCILING, SETTLING, SETTLING_ALL})

# What the outbox and the worker go by: kinds of job are the names of the functions above.
KINDS_BY_EVENT: Mapping[str, Sequence[str]] = {
    type_of(event): [consequence.__name__ for consequence in consequences]
    for event, consequences in BECAUSE_OF.items()
}
BY_KIND: Mapping[str, Consequence] = {
    **{each.__name__: each for consequences in BECAUSE_OF.values() for each in consequences},
    **WHEN_DUE,
}
