"""Comparing a provider's books with ours: what was made there since the last time, then what only we know of.

Each object is followed as if the provider had told of it, in one transaction with the item that says what
differed. Whoever dies in between begins anew, and finds the items of the first time.
"""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeAlias

from billing.gateways.model import Charge, DisputeMade, RefundMade
from billing.payments import store as payments
from billing.payments.collect import intent_of as charge_intent
from billing.payments.model import Known as KnownPayment
from billing.payments.model import PaymentId
from kernel import outbox
from kernel.database import Door, Tx
from kernel.errors import DomainError
from kernel.ids import Id
from refunds import store as refunds
from refunds.disputes import store as disputes
from refunds.model import Known as KnownRefund
from refunds.model import RefundId
from refunds.send_refund import intent_of as refund_intent
from webhooks.drift import store
from webhooks.drift.model import Done, DriftReported, DriftReportId, Finding, Kind, Status
from webhooks.following.charge import follow_charge, payment_of
from webhooks.following.dispute import follow_dispute
from webhooks.following.refund import follow_refund
from webhooks.provider import Provider

CHUNK = 500
# What waits for less has a job that is about to send it.
PATIENCE = timedelta(hours=1)
EPOCH = datetime.fromtimestamp(0, UTC)

Look: TypeAlias = Callable[[Tx], Awaitable[Finding | None]]


async def reconcile(door: Door, provider: Provider, report_id: DriftReportId) -> None:
    async with door.open() as tx:
        report = await store.get(tx, report_id)
    if report.status is Status.DONE:
        return

    comparison = Comparison(door, provider, report_id)
    await comparison.of_theirs(report.since)
    await comparison.of_ours(report.since)

    async with door.open() as tx:
        await _end(tx, report_id, compared=len(comparison.seen))


async def _end(tx: Tx, report_id: DriftReportId, *, compared: int) -> None:
    if await store.end(tx, report_id, compared=compared):
        report = await store.get(tx, report_id)
        reported = DriftReported(
            drift_report_id=report.id, moved=report.moved, recorded=report.recorded, left=report.left
        )
        outbox.publish(tx, reported)


class Comparison:
    """One run through the books. `seen` are the provider's names of what was compared."""

    def __init__(self, door: Door, provider: Provider, report_id: DriftReportId) -> None:
        self.door = door
        self.provider = provider
        self.name = provider.name
        self.books = provider.books
        self.report_id = report_id
        self.seen: set[str] = set()

    async def of_theirs(self, since: datetime) -> None:
        """Charges first: what goes back of one is of a payment."""
        given_back: list[Charge] = []
        async for charge in self.books.charges_since(since):
            await self._charge(charge)
            if charge.refunded:
                given_back.append(charge)
        async for made in self.books.refunds_since(since):
            if made.charge not in self.seen:
                await self._charge_of(made.charge)
            await self._made(made)
        async for dispute in self.books.disputes_since(since):
            if dispute.charge not in self.seen:
                await self._charge_of(dispute.charge)
            await self._dispute(dispute)
        for charge in given_back:
            look = partial(_given_back, provider=self.name, charge=charge)
            await self._note(charge.reference, look, Kind.CHARGE_REFUNDED)

    async def of_ours(self, since: datetime) -> None:
        """What they did not list: too old for that, never sent, or not theirs at all."""
        after = PaymentId.before(EPOCH)
        while payments_known := await self._payments(since, after):
            for payment in payments_known:
                await self._payment(payment)
            after = payments_known[-1].id
        after_refund = RefundId.before(EPOCH)
        while refunds_known := await self._refunds(since, after_refund):
            for refund in refunds_known:
                await self._refund(refund)
            after_refund = refunds_known[-1].id
        async with self.door.open() as tx:
            open_disputes = await disputes.open_at_gateway(tx, self.name)
        for reference in open_disputes:
            made = await self.books.dispute_of(reference) if reference not in self.seen else None
            if made is not None:
                await self._dispute(made)

    async def _payments(self, since: datetime, after: PaymentId) -> list[KnownPayment]:
        async with self.door.open() as tx:
            return await payments.at_gateway(
                tx, self.name, since=PaymentId.before(since), after=after, limit=CHUNK
            )

    async def _refunds(self, since: datetime, after: RefundId) -> list[KnownRefund]:
        async with self.door.open() as tx:
            return await refunds.at_gateway(
                tx, self.name, since=RefundId.before(since), after=after, limit=CHUNK
            )

    async def _payment(self, known: KnownPayment) -> None:
        reference = known.gateway_reference or await self._charge_made(known.id)
        if reference is not None and reference not in self.seen and not await self._charge_of(reference):
            await self._missing(Kind.CHARGE_MISSING, reference, known.id)

    async def _refund(self, known: KnownRefund) -> None:
        reference = known.gateway_reference or await self._refund_made(known.id)
        if reference is not None and reference not in self.seen and not await self._refund_of(reference):
            await self._missing(Kind.REFUND_MISSING, reference, known.id)

    async def _charge_of(self, reference: str) -> bool:
        charge = await self.books.charge_of(reference)
        if charge is not None:
            await self._charge(charge)
        return charge is not None

    async def _refund_of(self, reference: str) -> bool:
        made = await self.books.refund_of(reference)
        if made is not None:
            await self._made(made)
        return made is not None

    async def _charge(self, charge: Charge) -> None:
        look = partial(follow_charge, provider=self.provider, charge=charge)
        await self._note(charge.reference, look, Kind.CHARGE_UNKNOWN)

    async def _made(self, made: RefundMade) -> None:
        look = partial(follow_refund, provider=self.name, made=made)
        await self._note(made.reference, look, Kind.REFUND_UNKNOWN)

    async def _dispute(self, made: DisputeMade) -> None:
        look = partial(follow_dispute, provider=self.name, made=made)
        await self._note(made.reference, look, Kind.DISPUTE_UNKNOWN)

    async def _charge_made(self, payment_id: PaymentId) -> str | None:
        """What the provider calls a payment whose answer was lost."""
        async with self.door.open() as tx:
            payment = await payments.get(tx, payment_id)
        outcome = await self.books.find_charge(charge_intent(payment))
        if outcome is None and self._is_late(payment_id):
            await self._missing(Kind.CHARGE_NOT_SENT, str(payment_id), payment_id)
        return outcome.reference if outcome else None

    async def _refund_made(self, refund_id: RefundId) -> str | None:
        async with self.door.open() as tx:
            refund = await refunds.get(tx, refund_id)
            assert refund.payment_id is not None, "what a provider should know of is on a payment"
            payment = await payments.get(tx, refund.payment_id)
        outcome = await self.books.find_refund(refund_intent(refund, payment))
        if outcome is None and self._is_late(refund_id):
            await self._missing(Kind.REFUND_NOT_SENT, str(refund_id), refund_id)
        return outcome.reference if outcome else None

    def _is_late(self, our_id: Id) -> bool:
        return self.door.now() - our_id.made_at > PATIENCE

    async def _missing(self, kind: Kind, reference: str, our_id: Id) -> None:
        missing = Finding(kind=kind, done=Done.LEFT, reference=reference, our_id=str(our_id))
        async with self.door.open() as tx:
            await store.insert_item(tx, self.report_id, missing)

    async def _note(self, reference: str, look: Look, refused: Kind) -> None:
        """What cannot be recorded is left to a person, with the code of the refusal."""
        try:
            async with self.door.open() as tx:
                found = await look(tx)
                if found is not None and found.done is not Done.AGREED:
                    await store.insert_item(tx, self.report_id, found)
        except DomainError as refusal:
            left = Finding(kind=refused, done=Done.LEFT, reference=reference, detail=refusal.code)
            async with self.door.open() as tx:
                await store.insert_item(tx, self.report_id, left)
        self.seen.add(reference)


async def _given_back(tx: Tx, provider: str, charge: Charge) -> Finding | None:
    """More than we know of: of refunds that were made before those that were listed."""
    payment = await payment_of(tx, provider, charge)
    if payment is None or charge.refunded <= payment.refunded:
        return None
    return Finding(
        kind=Kind.CHARGE_REFUNDED,
        done=Done.LEFT,
        reference=charge.reference,
        our_id=str(payment.id),
        ours=payment.refunded,
        theirs=charge.refunded,
    )
