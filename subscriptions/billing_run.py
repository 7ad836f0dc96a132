"""The billing run: every subscription that is due, a chunk at a time, by any number of workers.

Each chunk is one transaction: claimed with SKIP LOCKED, priced by the same pure functions as a signup,
written in the same few statements. What cannot be billed is put aside with its reason and stops nobody.
Who is killed loses the chunk at hand, and the next worker takes it.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

import structlog

from billing.invoices.model import Invoice
from kernel import outbox
from kernel.database import Tx, savepoint
from kernel.errors import DomainError
from kernel.money import Money
from kernel.structs import Value
from promotions.model import OfferId
from subscriptions import billing_store
from subscriptions.bill import with_budgets
from subscriptions.billing_store import Failure, Mark
from subscriptions.changing import from_next_period
from subscriptions.events import RenewalFailed
from subscriptions.model import Renewal, Subscription
from subscriptions.renew import NextPeriod, next_period, record
from subscriptions.serve_offers import add_spent
from subscriptions.terms import terms_of

CHUNK = 2_000

# After how long what could not be billed is tried again; after the last, only by hand.
RETRY_AFTER = tuple(timedelta(hours=min(2**n, 24)) for n in range(30))

log = structlog.get_logger("billing run")


class Chunk(Value, frozen=True, kw_only=True):
    """What one step of a run did. `mark` is where the next goes on; None when there was nothing to claim.

    `invoices` and `amounts`, in minor units with VAT, are per currency.
    """

    mark: Mark | None
    claimed: int
    ended: int
    invoices: dict[str, int]
    amounts: dict[str, int]
    failures: tuple[Failure, ...]


async def bill_chunk(tx: Tx, *, limit: int = CHUNK, after: Mark | None = None) -> Chunk:
    """Renew the next subscriptions that are due, in the order of when; each by one period."""
    due = await billing_store.claim_due(tx, limit=limit, after=after)
    terms = await terms_of(tx, [from_next_period(each) for each in due])

    decided: list[NextPeriod] = []
    failures: list[Failure] = []
    spent: dict[OfferId, Money] = {}
    for subscription in due:
        left = with_budgets(terms[subscription.id], spent)
        try:
            decided.append(next_period(subscription, left, now=tx.now))
        except DomainError as refusal:
            failures.append(_failure(subscription, refusal.code, refusal.detail))
        else:
            add_spent(spent, decided[-1].bill)

    renewals = await _record(tx, decided, failures)
    await billing_store.forget_failures(tx, [renewal.subscription.id for renewal in renewals])
    await _put_aside(tx, failures)
    return _chunk(due, renewals, failures)


async def _record(tx: Tx, decided: Sequence[NextPeriod], failures: list[Failure]) -> list[Renewal]:
    """All at once; where that fails, by halves, until the one that fails is alone and is put aside."""
    if not decided:
        return []
    try:
        async with savepoint(tx):
            return await record(tx, decided)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the others are billed
        if len(decided) == 1:
            failed = decided[0].subscription
            log.warning("not billed", subscription=str(failed.id), error=type(error).__name__)
            failures.append(_failure(failed, "internal", type(error).__name__))
            return []
    middle = len(decided) // 2
    first = await _record(tx, decided[:middle], failures)
    return first + await _record(tx, decided[middle:], failures)


async def _put_aside(tx: Tx, failures: Sequence[Failure]) -> None:
    await billing_store.put_failures(tx, failures, retry_after=RETRY_AFTER)
    outbox.publish(
        tx,
        *(
            RenewalFailed(subscription_id=failure.subscription_id, code=failure.code, detail=failure.detail)
            for failure in failures
        ),
    )


def _failure(subscription: Subscription, code: str, detail: str) -> Failure:
    return Failure(subscription_id=subscription.id, code=code, detail=detail)


def _chunk(due: Sequence[Subscription], renewals: Sequence[Renewal], failures: Sequence[Failure]) -> Chunk:
    invoices: list[Invoice] = [renewal.invoice for renewal in renewals if renewal.invoice]
    amounts: Counter[str] = Counter()
    for invoice in invoices:
        amounts[invoice.currency] += invoice.total.minor
    return Chunk(
        mark=_mark(due[-1]) if due else None,
        claimed=len(due),
        ended=sum(renewal.subscription.is_over for renewal in renewals),
        invoices=dict(Counter[str](invoice.currency for invoice in invoices)),
        amounts=dict(amounts),
        failures=tuple(failures),
    )


def _mark(last: Subscription) -> Mark:
    assert last.next_billing_at is not None, "what is due is due at a time"
    return Mark(next_billing_at=last.next_billing_at, id=last.id)
