"""Rebate programmes: what is given back, by contract, on what was bought in a period."""

from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from api.filters import OfCustomer, RebateKey, rebate_of
from api.operations import command, query
from kernel.database import Tx
from kernel.paging import Page, Window
from promotions.rebates import accruals as reading
from promotions.rebates import accrue as closing
from promotions.rebates import create_contract as verbs
from promotions.rebates import store
from promotions.rebates.model import (
    Accruals,
    NewAccrual,
    NewRebateContract,
    NewRebateSettlement,
    RebateAccrual,
    RebateContract,
    RebateContractChange,
    RebateSettlement,
)
from refunds import settle_rebate as settling
from refunds.model import SettledRebate


@query("/v1/rebates", scope="rebates:read")
async def list_rebates(tx: NamedDependency[Tx], window: NamedDependency[Window]) -> Page[RebateContract]:
    """List rebate contracts, newest first."""
    return await store.page(tx, window)


@query("/v1/rebates/{rebate}", scope="rebates:read")
async def get_rebate(tx: NamedDependency[Tx], rebate: FromPath[str]) -> RebateContract:
    """Read a rebate contract, by id or reference."""
    return await store.get(tx, rebate)


@query("/v1/rebates/{rebate}/accruals", scope="rebates:read")
async def get_rebate_accruals(tx: NamedDependency[Tx], rebate: FromPath[str]) -> Accruals:
    """Read how each period stands: volume, what it has earned, what is due, what the next tier brings."""
    return await reading.accruals(tx, rebate)


@query("/v1/rebate_settlements", scope="rebates:read")
async def list_rebate_settlements(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    of_customer: OfCustomer,
    rebate_id: RebateKey = None,
) -> Page[RebateSettlement]:
    """List what was settled of rebates, newest first: what was given, and what was taken back."""
    contract = await rebate_of(tx, rebate_id)
    return await store.settlement_page(tx, window, contract_id=contract, customer_id=of_customer)


@command("/v1/rebates", scope="rebates:write", status=201)
async def create_rebate(tx: NamedDependency[Tx], data: JSONBody[NewRebateContract]) -> RebateContract:
    """Make a rebate contract.

    A worker settles it when a period is over. Past periods are settled by a call, as is one that runs.
    """
    return await verbs.create_contract(tx, data)


@command("/v1/rebates/{rebate}", scope="rebates:write", method="PATCH")
async def patch_rebate(
    tx: NamedDependency[Tx], rebate: FromPath[str], data: JSONBody[RebateContractChange]
) -> RebateContract:
    """Change a contract, in what changes nothing that was agreed: its name, its end, where money goes."""
    return await verbs.change_contract(tx, rebate, data)


@command("/v1/rebates/{rebate}/settle", scope="rebates:write", status=201)
async def settle_rebate(
    tx: NamedDependency[Tx], rebate: FromPath[str], data: JSONBody[NewRebateSettlement]
) -> SettledRebate:
    """Settle what is due, customer by customer: a credit note, or an invoice that takes something back.

    Settling twice settles nothing new. Try it with `dry_run` first.
    """
    return await settling.settle_rebate(tx, rebate, data)


@command("/v1/rebates/{rebate}/accrue", scope="rebates:write", status=201)
async def accrue_rebate(
    tx: NamedDependency[Tx], rebate: FromPath[str], data: JSONBody[NewAccrual]
) -> RebateAccrual:
    """Book what is earned and not given at a closing, and its reversal the day after.

    The same day again is the same accrual.
    """
    return await closing.accrue(tx, rebate, data)


ROUTES = [
    list_rebates,
    get_rebate,
    get_rebate_accruals,
    list_rebate_settlements,
    create_rebate,
    patch_rebate,
    settle_rebate,
    accrue_rebate,
]
