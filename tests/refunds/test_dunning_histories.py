"""Whatever is paid, credited, charged, paused and waited for: no step is forgotten, and none comes twice."""

from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import TypeAlias

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from billing.credit_notes import store as credit_notes
from billing.dunning import store as dunning
from billing.dunning.begin import OVERDUE, STEP, fall_overdue, watch
from billing.dunning.events import DunningExhausted
from billing.dunning.model import Dunning, NewPause
from billing.dunning.model import Status as DunningStatus
from billing.dunning.pause import pause_dunning, resume_dunning
from billing.dunning.take_step import take_step
from billing.gateways.model import Outcome
from billing.gateways.model import Status as OutcomeStatus
from billing.invoices import store as invoices
from billing.invoices.model import Collection, Invoice, InvoiceId, Status
from billing.payments import store as payments
from billing.payments.collect import finish_payment, start_payment
from billing.payments.events import PaymentRequested
from billing.payments.model import PaymentId
from billing.payments.model import Status as PaymentStatus
from kernel.database import Pool, Tx
from kernel.errors import Conflict
from refunds.end_unpaid import end_unpaid
from subscriptions import store as subscriptions
from subscriptions.fall_past_due import follow_invoice
from subscriptions.model import Signup
from subscriptions.model import Status as SubscriptionStatus
from subscriptions.sign_up import sign_up
from tests.books import assert_sound
from tests.makers import NOON
from tests.shop import a_credit, a_payment, a_transaction, at, by_amount
from tests.subscriptions.plans import a_shop_with_a_plan, a_signup

DAY = timedelta(days=1)


class Story:
    """One invoice of a subscription, and a worker that does what is due at its time."""

    def __init__(self, tx: Tx, signup: Signup, data: st.DataObject) -> None:
        assert signup.invoice is not None
        self.tx, self.now, self.data = tx, NOON, data
        self.invoice_id: InvoiceId = signup.invoice.id
        self.subscription_id = signup.subscription.id
        self.steps: list[datetime] = []
        self.done: set[object] = set()

    def at(self, now: datetime) -> Tx:
        return at(self.tx, now)

    async def invoice(self) -> Invoice:
        return await invoices.lock(self.tx, self.invoice_id)

    async def dunning(self) -> Dunning | None:
        return await dunning.find(self.tx, self.invoice_id)

    async def until(self, then: datetime) -> None:
        """All that falls due until then, each at its time, or at once when that is over."""
        while (job := await self._next_job(then)) is not None:
            job_id, kind, scheduled_for = job
            self.done.add(job_id)
            self.now = max(self.now, scheduled_for)
            before = await self.dunning()
            await (fall_overdue if kind == OVERDUE else take_step)(self.at(self.now), self.invoice_id)
            after = await self.dunning()
            if before and after and after.steps_taken > before.steps_taken:
                self.steps.append(self.now)
            await self.follow()
        self.now = then

    async def follow(self) -> None:
        """The consequences of what was said. Charges that were asked for fail, succeed, or stay under way."""
        for event in [each for each in self.tx.events if isinstance(each, PaymentRequested)]:
            self.tx.events.remove(event)
            await start_payment(self.at(self.now), "sandbox", PaymentId.new(), event.invoice_id)
            if self.data.draw(st.booleans()):
                await self.decide()
        await follow_invoice(self.at(self.now), self.invoice_id)
        if any(isinstance(event, DunningExhausted) for event in self.tx.events):
            await end_unpaid(self.at(self.now), self.invoice_id)

    async def decide(self, *, succeeds: bool | None = None) -> None:
        for payment in await payments.of_invoice(self.tx, self.invoice_id):
            if payment.status is PaymentStatus.PENDING:
                good = self.data.draw(st.sampled_from([False, False, True])) if succeeds is None else succeeds
                status = OutcomeStatus.SUCCEEDED if good else OutcomeStatus.FAILED
                outcome = Outcome(status=status, reference=str(payment.id), failure_code=None)
                await finish_payment(self.at(self.now), payment, outcome)

    async def _next_job(self, then: datetime) -> tuple[object, str, datetime] | None:
        rows = await self.tx.conn.fetch(
            """
            SELECT id, kind, scheduled_for FROM jobs
            WHERE tenant_id = $1 AND kind = ANY($2) AND scheduled_for <= $3
            ORDER BY scheduled_for, id
            """,
            self.tx.tenant,
            [OVERDUE, STEP],
            then,
        )
        left = [row for row in rows if row["id"] not in self.done]
        return (left[0]["id"], left[0]["kind"], left[0]["scheduled_for"]) if left else None


Act: TypeAlias = Callable[[Story], Awaitable[None]]


async def time_passes(story: Story) -> None:
    await story.until(story.now + story.data.draw(st.integers(0, 9)) * DAY)


async def pay_a_part(story: Story) -> None:
    invoice = await story.invoice()
    free = invoice.settlement.due.minor - invoice.settlement.pending.minor
    if free:
        minor = story.data.draw(st.sampled_from([1, free // 2 or 1, free]))
        await a_payment(story.at(story.now), invoice, minor)


async def credit_a_part(story: Story) -> None:
    invoice = await story.invoice()
    earlier = await credit_notes.credited_lines(story.tx, invoice.id)
    line = invoice.lines[0]
    left = line.billed - earlier[line.id].amount if line.id in earlier else line.billed
    if left and not invoice.settlement.pending:
        await a_credit(
            story.at(story.now), invoice, by_amount(line, story.data.draw(st.integers(1, left.minor)))
        )


async def a_charge_is_decided(story: Story) -> None:
    await story.decide()


async def pause(story: Story) -> None:
    days = story.data.draw(st.sampled_from([None, 1, 4, 15]))
    until = None if days is None else date.fromordinal((story.now + days * DAY).toordinal())
    try:
        await pause_dunning(story.at(story.now), story.invoice_id, NewPause(until=until))
    except Conflict as refusal:
        assert refusal.code in ("nothing_due", "dunning_state")  # noqa: PT017


async def resume(story: Story) -> None:
    found = await story.dunning()
    if found is not None and found.status is DunningStatus.PAUSED:
        await resume_dunning(story.at(story.now), story.invoice_id)


ACTS: list[Act] = [
    time_passes,
    time_passes,
    time_passes,
    pay_a_part,
    credit_a_part,
    a_charge_is_decided,
    pause,
    resume,
]


@settings(max_examples=25, phases=[Phase.explicit, Phase.generate])  # a story is short as it is
@given(collection=st.sampled_from(Collection), data=st.data())
async def test_a_history_of_dunning(pool: Pool, collection: Collection, data: st.DataObject) -> None:
    async with a_transaction(pool) as tx:
        await a_shop_with_a_plan(tx)
        method = "pm_sandbox_ok" if collection is Collection.AUTOMATIC else None
        signup = await sign_up(tx, a_signup(collection=collection, payment_method=method))
        story = Story(tx, signup, data)
        if collection is Collection.AUTOMATIC:
            await start_payment(tx, "sandbox", PaymentId.new(), story.invoice_id)
            await story.decide(succeeds=False)
        else:
            await watch(tx, await story.invoice())
            await story.until(NOON + 29 * DAY)

        for act in data.draw(st.lists(st.sampled_from(ACTS), min_size=3, max_size=10)):
            await act(story)
            await story.follow()
            await story.until(story.now)
            await assert_it_stands_right(story)

        await bring_to_its_end(story)


async def assert_it_stands_right(story: Story) -> None:
    invoice, found = await story.invoice(), await story.dunning()
    subscription = await subscriptions.get(story.tx, story.subscription_id)
    is_settled = invoice.settlement.status is Status.SETTLED
    is_overdue = found is not None and found.overdue_at is not None and not is_settled

    await assert_sound(story.tx)
    if found is not None:
        assert (found.status is DunningStatus.RECOVERED) == is_settled
    if not subscription.is_over:
        assert (subscription.status is SubscriptionStatus.PAST_DUE) == is_overdue
    if is_overdue and found is not None and found.next_at is not None:
        is_held = invoice.settlement.due == invoice.settlement.pending
        assert found.next_at > story.now or is_held, "a step was forgotten"
        assert is_held or await story._next_job(found.next_at) is not None, "nobody will take the step"
    if found is not None and found.overdue_at is not None:
        is_sent = invoice.collection is Collection.SEND_INVOICE
        first = invoice.due_on if is_sent else found.overdue_at.date()
        came = [first, *(step.date() for step in story.steps)]
        for (one, other), (earlier, later) in zip(
            pairwise(came), pairwise((0, *found.schedule.days)), strict=False
        ):
            assert (other - one).days >= later - earlier, "steps come in their distance"


async def bring_to_its_end(story: Story) -> None:
    """No payment goes through any more, and the pause is over: all steps are taken."""
    for _ in range(9):
        await story.decide(succeeds=False)
        await resume(story)
        await story.until(story.now + 10 * DAY)
    await story.decide(succeeds=False)
    await story.follow()
    await story.until(story.now)

    invoice, found = await story.invoice(), await story.dunning()
    subscription = await subscriptions.get(story.tx, story.subscription_id)
    if invoice.settlement.status is Status.SETTLED:
        assert found is None or found.status is DunningStatus.RECOVERED
    else:
        assert found is not None
        assert (found.status, found.steps_taken) == (DunningStatus.EXHAUSTED, len(found.schedule.days))
        assert subscription.is_over == (invoice.collection is Collection.AUTOMATIC)
