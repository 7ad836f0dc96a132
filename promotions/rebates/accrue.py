"""Closings: what is earned and not given yet is a debt of the year it was earned in.

At the end of the day   709 rebates granted      net        4198 credit notes to be issued
                        44587 VAT to adjust      its VAT
and the day after the other way round, so that the credit note is booked as always (French chart of accounts,
PCG art. 944-41: rabais, remises, ristournes à accorder et autres avoirs à établir).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import date, timedelta

from billing.ledger import store as ledger
from billing.ledger.model import Account, Holder, Posting, Source
from billing.ledger.postings import in_one_transaction
from billing.parties import store as parties
from billing.parties.model import CustomerId
from billing.rebates import store as lines
from billing.tax.model import TaxGroup
from kernel import outbox
from kernel.database import Tx
from kernel.errors import Conflict, Invalid
from kernel.money import Money, allocate, total, zero
from kernel.periods import local_date
from promotions.rebates import rules, store
from promotions.rebates.accruals import accrual, history_of
from promotions.rebates.create_contract import zone_of
from promotions.rebates.events import RebateAccrued
from promotions.rebates.model import NewAccrual, RebateAccrual, RebateAccrualId, RebateContract


async def accrue(tx: Tx, key: str, request: NewAccrual) -> RebateAccrual:
    """The same day again is the same accrual."""
    contract = await store.lock(tx, key)
    accrued = await store.find_accrual(tx, contract.id, request.on)
    if accrued is not None:
        return accrued
    today = local_date(tx.now, await zone_of(tx))
    if request.on > today:
        raise Invalid("rebate_on_future", "A closing is of a day that has come.", param="on")
    owed = await _owed(tx, contract, request.on)

    if not owed:
        raise Conflict("rebate_nothing_due", f"Nothing of this contract is due at the end of {request.on}.")
    booked = [each for postings in owed.values() for each in postings]
    closed = RebateAccrual(
        id=RebateAccrualId.new(),
        contract_id=contract.id,
        accrued_on=request.on,
        currency=contract.currency,
        net=_on(booked, Account.REBATES_GRANTED, contract),
        tax=_on(booked, Account.VAT_TO_ADJUST, contract),
        created_at=tx.now,
    )

    await store.insert_accrual(tx, closed)
    reversed_ = {holder: [_reversed(each) for each in postings] for holder, postings in owed.items()}
    await _book(tx, closed, owed, f"Rebate {contract.reference} accrued", request.on)
    await _book(
        tx, closed, reversed_, f"Rebate {contract.reference} reversed", request.on + timedelta(days=1)
    )
    outbox.publish(tx, RebateAccrued(rebate_accrual_id=closed.id, rebate_contract_id=contract.id))
    return closed


async def _owed(tx: Tx, contract: RebateContract, on: date) -> dict[Holder, list[Posting]]:
    """What is due to each customer by then, of all periods together, under the VAT of what they bought."""
    history = await history_of(tx, contract, await store.members(tx, contract))
    until = on + timedelta(days=1)
    due: dict[CustomerId, Money] = {}
    bought: dict[CustomerId, Counter[TaxGroup]] = defaultdict(Counter)
    for days in rules.periods_begun(contract, on):
        stand = await accrual(tx, history, days, until=until)
        for each in stand.customers:
            due[each.customer_id] = due.get(each.customer_id, zero(contract.currency)) + each.due
        for customer_id, groups in (await lines.left_per_group(tx, history.scope(days, until=until))).items():
            bought[customer_id].update({group: amount.minor for group, amount in groups.items()})
    customers = await parties.customers_of(tx, due)
    return {
        Holder(
            legal_entity_id=customers[customer_id].legal_entity_id,
            customer_id=customer_id,
            currency=contract.currency,
        ): _postings(net, bought[customer_id])
        for customer_id, net in due.items()
        if net.minor > 0 and bought[customer_id].total()
    }


def _postings(net: Money, bought: Counter[TaxGroup]) -> list[Posting]:
    parts = allocate(net, list(bought.values()))
    taxes = [
        Posting(account=Account.VAT_TO_ADJUST, amount=group.rate.of(part), tax=group)
        for group, part in zip(bought, parts, strict=True)
        if group.rate.of(part)
    ]
    whole = sum((tax.amount for tax in taxes), net)
    return [
        Posting(account=Account.REBATES_GRANTED, amount=net),
        *taxes,
        Posting(account=Account.CREDIT_NOTES_TO_ISSUE, amount=-whole),
    ]


def _reversed(posting: Posting) -> Posting:
    return Posting(account=posting.account, amount=-posting.amount, tax=posting.tax)


async def _book(
    tx: Tx, closed: RebateAccrual, owed: Mapping[Holder, Sequence[Posting]], label: str, day: date
) -> None:
    booked = in_one_transaction((holder, each) for holder, postings in owed.items() for each in postings)
    await ledger.insert(tx, booked, Source.REBATE_ACCRUAL, closed.id, label=label, booked_on=day)


def _on(booked: list[Posting], account: Account, contract: RebateContract) -> Money:
    return total((each.amount for each in booked if each.account is account), contract.currency)
