"""Making and changing rebate contracts."""

from datetime import date, datetime, time
from uuid import uuid5
from zoneinfo import ZoneInfo

import msgspec

from billing.parties import store as parties
from kernel import jobs, outbox
from kernel.database import Tx
from kernel.errors import Conflict, Invalid, not_found
from kernel.ids import JobId
from kernel.periods import local_date
from kernel.structs import sent_fields
from promotions.rebates import rules, store
from promotions.rebates.events import RebateContractChanged, RebateContractCreated
from promotions.rebates.model import (
    NewRebateContract,
    RebateContract,
    RebateContractChange,
    RebateContractId,
    RebatePeriod,
)

SETTLING = "settle_rebate"


async def create_contract(tx: Tx, request: NewRebateContract) -> RebateContract:
    """Settled by a job when a period of it is over."""
    rules.check(request)
    zone = await zone_of(tx)
    contract = await contract_of(tx, request)

    await store.insert(tx, contract)
    await schedule_next(tx, contract, after=local_date(tx.now, zone), zone=zone)
    outbox.publish(tx, RebateContractCreated(rebate_contract_id=contract.id))
    return contract


async def contract_of(tx: Tx, request: NewRebateContract) -> RebateContract:
    """With the customers it names."""
    found = await parties.find_customers(tx, request.customers)
    for key in request.customers:
        if key not in found:
            raise not_found("customer", key)
    return RebateContract(
        id=RebateContractId.new(),
        reference=request.reference,
        name=request.name,
        currency=request.currency,
        customers=tuple(sorted({found[key] for key in request.customers})),
        customer_metadata=request.customer_metadata,
        items=tuple(request.items) if request.items is not None else None,
        period=request.period,
        basis=request.basis,
        mode=request.mode,
        tiers=tuple(request.tiers),
        refund=request.refund,
        when_negative=request.when_negative,
        starts_on=request.starts_on,
        ends_on=request.ends_on,
        metadata=request.metadata,
        created_at=tx.now,
    )


async def change_contract(tx: Tx, key: str, change: RebateContractChange) -> RebateContract:
    before = await store.lock(tx, key)
    zone = await zone_of(tx)
    today = local_date(tx.now, zone)

    sent = sent_fields(change)
    after = msgspec.structs.replace(before, **sent)
    if after.ends_on != before.ends_on:
        _check_end(before, after, today)

    if after != before:
        await store.update(tx, after)
        outbox.publish(tx, RebateContractChanged(rebate_contract_id=after.id))
    if after.ends_on is not None and after.ends_on != before.ends_on:
        await schedule(tx, after, after.ends_on, zone)
    return after


def _check_end(before: RebateContract, after: RebateContract, today: date) -> None:
    """What is over stays as it was settled."""
    is_over = before.ends_on is not None and before.ends_on <= today
    if is_over or (after.ends_on is not None and after.ends_on <= today):
        raise Conflict(
            "rebate_over", "A contract ends on a day to come, and one that is over stays so.", param="ends_on"
        )
    if after.ends_on is None and after.period is RebatePeriod.CUSTOM:
        raise Invalid("rebate_dates", "A period of its own has an end: give ends_on.", param="ends_on")
    if after.ends_on is not None and after.ends_on <= after.starts_on:
        raise Invalid("rebate_dates", "A contract ends after it starts.", param="ends_on")


async def schedule_next(tx: Tx, contract: RebateContract, *, after: date, zone: ZoneInfo) -> None:
    """When the period that the day is in is over. What was missed before is settled with it."""
    end = rules.first_end(contract, after)
    if end is not None:
        await schedule(tx, contract, end, zone, goes_on=True)


async def schedule(
    tx: Tx, contract: RebateContract, end: date, zone: ZoneInfo, *, goes_on: bool = False
) -> None:
    """At the first minute of the day after its last; one that `goes_on` leaves the next behind.

    Once for each end: a job that runs twice leaves one behind all the same.
    """
    data = {"rebate_contract_id": str(contract.id), "goes_on": goes_on}
    job_id = JobId.of(uuid5(contract.id.uuid, f"{end} {goes_on}"))
    await jobs.schedule(tx, SETTLING, data, due=datetime.combine(end, time(), tzinfo=zone), job_id=job_id)


async def zone_of(tx: Tx) -> ZoneInfo:
    """Of the default seller: by it a period is over."""
    entity, _, _ = await parties.seller_for(tx, entity=None, tax_rate=None)
    return entity.zone
