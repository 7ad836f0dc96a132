"""Counting what the offers of subscriptions have given, once bills are made."""

from collections.abc import Sequence

from kernel import outbox
from kernel.database import Tx
from kernel.money import Money, zero
from promotions import store as promotions
from promotions.duration import end_of_time
from promotions.engine import Held
from promotions.model import OfferId
from promotions.redeem import ended_event
from subscriptions.bill import Bill
from subscriptions.remind import schedule_reminders


async def serve_offers(tx: Tx, bills: Sequence[Bill], *, ended: Sequence[Held] = ()) -> None:
    """The budgets were locked when the terms of these bills were read. `ended` are over without a bill."""
    served = [each for bill in bills for each in bill.redemptions]
    await promotions.count_periods(tx, served + [held.redemption for held in ended])
    spent: dict[OfferId, Money] = {}
    for bill in bills:
        add_spent(spent, bill)
    await promotions.spend(tx, spent)
    over = [*ended, *(held for bill in bills for held in bill.ended)]
    await schedule_reminders(tx, [held for held in over if end_of_time(held) is None])
    outbox.publish(tx, *(ended_event(held.redemption) for held in over))


def add_spent(spent: dict[OfferId, Money], bill: Bill | None) -> None:
    for offer_id, off in bill.spent if bill else ():
        spent[offer_id] = spent.get(offer_id, zero(off.currency)) + off
