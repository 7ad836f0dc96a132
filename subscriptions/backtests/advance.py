"""Carrying out a back-test, some customers at a time: killed in between, it goes on where it was."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from itertools import accumulate

from msgspec.structs import replace

from billing.parties import store as parties
from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.decimals import Measure
from kernel.errors import DomainError
from kernel.money import Money, zero
from kernel.periods import local_date
from promotions import store as promotions
from promotions.create_offer import offer_of
from promotions.model import NewOffer, Offer, OfferId
from promotions.rebates import rules as rebates
from promotions.rebates import store as contracts
from promotions.rebates.accruals import accrual, history_of
from promotions.rebates.create_contract import contract_of, zone_of
from promotions.rebates.model import NewRebateContract, PeriodAccrual
from subscriptions.backtests import store
from subscriptions.backtests.model import (
    LISTED,
    BackTest,
    BackTestId,
    BackTestStatus,
    Cliff,
    Findings,
    InCurrency,
    NewBackTest,
    Winner,
)
from subscriptions.backtests.replaying import PastInvoice, Trial, in_force

# At a time: memory does not grow with the rest.
CUSTOMERS = 50
INVOICES = 5_000


async def advance(tx: Tx, back_test_id: BackTestId) -> bool:
    """Whether there is more to do. Twice at once, the second waits and goes on after the first."""
    back_test, mark = await store.lock(tx, back_test_id)
    if back_test.is_over:
        return False
    running = back_test.to(BackTestStatus.RUNNING)

    try:
        if running.request.programme is not None:
            after, last = await _programme(tx, running, running.request.programme), None
        else:
            after, last = await _some_customers(tx, running, mark)
    except DomainError as refusal:
        after, last = replace(running, error=refusal.detail), None
    if last is None:
        ended = BackTestStatus.FAILED if after.error else BackTestStatus.DONE
        after = after.to(ended, ended_at=tx.now)

    await store.update(tx, after, last or mark)
    return last is not None


async def _some_customers(
    tx: Tx, back_test: BackTest, mark: CustomerId
) -> tuple[BackTest, CustomerId | None]:
    """The back-test with what they add, and the last of them; None when there were no more."""
    request = back_test.request
    of_whom = set((await parties.find_customers(tx, request.customers)).values()) if request.customers else ()
    following = await store.next_customers(
        tx, request.starts_at, request.ends_at, of_whom, after=mark, limit=CUSTOMERS
    )
    customers = _first(following)
    if not customers:
        return back_test, None
    past = await store.invoices_of(tx, request.starts_at, request.ends_at, customers)

    findings = await _tried(tx, request, back_test, past)
    done = back_test.done + sum(map(len, past))
    return replace(back_test, findings=findings, done=min(done, back_test.total)), customers[-1]


def _first(following: Mapping[CustomerId, int]) -> list[CustomerId]:
    """As many as have so many invoices; one has to be."""
    so_far = accumulate(following.values())
    return [each for each, times in zip(following, so_far, strict=True) if times <= INVOICES] or [*following][
        :1
    ]


async def _tried(
    tx: Tx, request: NewBackTest, back_test: BackTest, past: Sequence[Sequence[PastInvoice]]
) -> Findings:
    invoices = [invoice for of_one in past for invoice in of_one]
    offers = await store.offers_of(tx, set(_held_on(invoices)))
    if request.offer is None:
        return in_force(back_test.findings, invoices, offers)
    draft = _draft(request.offer, back_test)
    trial = Trial(back_test.findings, draft, offers, await promotions.policy(tx))
    for of_one in past:
        trial.of_customer(of_one)
    return trial.found()


def _held_on(invoices: Iterable[PastInvoice]) -> Iterable[OfferId]:
    for invoice in invoices:
        if invoice.decided is not None:
            yield from (each.offer_id for each in invoice.decided.offers)


def _draft(request: NewOffer, back_test: BackTest) -> Offer:
    """As old as the back-test, in every chunk: ties go to the offer that was made first."""
    return replace(offer_of(request, now=back_test.created_at), id=OfferId(back_test.id.bytes))


# ── A rebate programme ──────────────────────────────────────────────────────────────────────────────────


async def _programme(tx: Tx, back_test: BackTest, request: NewRebateContract) -> BackTest:
    """Period by period, by the rules of contracts that are settled."""
    zone = await zone_of(tx)
    contract = replace(
        await contract_of(tx, request),
        starts_on=local_date(back_test.request.starts_at, zone),
        ends_on=local_date(back_test.request.ends_at, zone),
    )
    history = await history_of(tx, contract, await contracts.members(tx, contract))
    last_day = local_date(back_test.request.ends_at, zone) - timedelta(days=1)
    stand = [await accrual(tx, history, days) for days in rebates.periods_begun(contract, last_day)]
    findings = _earned(back_test.findings, stand)
    return replace(back_test, findings=findings, done=back_test.total)


def _earned(before: Findings, stand: Sequence[PeriodAccrual]) -> Findings:
    earned: Counter[CustomerId] = Counter()
    for period in stand:
        earned.update({each.customer_id: each.earned.minor for each in period.customers})
    if not stand:
        return before
    nothing = zero(stand[0].volume.currency)
    would_give = sum((period.earned for period in stand), nothing)
    winners = [
        Winner(customer_id=customer_id, wins=Money(minor, nothing.currency))
        for customer_id, minor in earned.most_common()
        if minor > 0
    ]
    cliffs = [cliff for period in stand for cliff in _below_next_tier(period)]
    return replace(
        before,
        applied=sum(bool(period.earned) for period in stand),
        redeemed=len(winners),
        currencies=(
            InCurrency(
                currency=nothing.currency,
                billed=sum((period.volume for period in stand), nothing),
                given=nothing,
                instead=would_give,
                cost=would_give,
            ),
        ),
        winner_count=len(winners),
        winners=tuple(winners[:LISTED]),
        cliff_count=len(cliffs),
        cliffs=tuple(cliffs[:LISTED]),
    )


def _below_next_tier(period: PeriodAccrual) -> Iterable[Cliff]:
    """All together, where they stayed at most a tenth below it: the largest of them stands for them."""
    tier = period.next_tier
    if tier is None or not period.customers:
        return
    if tier.more_amount is not None:
        near = tier.more_amount.minor * 10 <= period.volume.minor + tier.more_amount.minor
        was, wanted = str(period.volume), str(period.volume + tier.more_amount)
    else:
        assert tier.more_quantity is not None, "what is missing is an amount or a quantity"
        whole = period.quantity.micro + tier.more_quantity.micro
        near, was = tier.more_quantity.micro * 10 <= whole, str(period.quantity)
        wanted = str(Measure(Measure(whole).scaleb(-6)))
    if near:
        largest = max(period.customers, key=lambda each: each.volume.minor)
        yield Cliff(
            customer_id=largest.customer_id, invoice_id=None, condition="tier", was=was, wanted=wanted
        )
