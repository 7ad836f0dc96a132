"""Rebate contracts in a shop, and what customers buy under them."""

from datetime import UTC, date, datetime

from billing.invoices.model import Invoice, PricedLine
from billing.parties.model import Customer, RefundMode
from kernel.database import Tx
from kernel.decimals import Measure, Rate
from kernel.text import Name, Reference
from promotions.rebates.accruals import accruals
from promotions.rebates.create_contract import create_contract
from promotions.rebates.model import (
    Basis,
    Mode,
    NewRebateContract,
    NewRebateSettlement,
    PeriodAccrual,
    RebateContract,
    RebatePeriod,
    RebateTier,
    WhenNegative,
)
from refunds.model import SettledRebate
from refunds.settle_rebate import settle_rebate
from tests.makers import EUR, a_line, euros
from tests.shop import an_issued_invoice, at

YEAR = date(2026, 1, 1)


def tiers(*bounds: tuple[int, str]) -> list[RebateTier]:
    """From so many cents on, and the percentage."""
    return [RebateTier(from_amount=euros(lower), rate=Rate.parse(rate)) for lower, rate in bounds]


ORACLE = tiers((0, "10"), (100_00, "20"), (300_00, "30"))
BY_UNITS = [
    RebateTier(from_quantity=Measure(lower), rate=Rate.parse(rate))
    for lower, rate in ((0, "10"), (100, "20"), (300, "30"))
]


def a_new_contract(
    *,
    mode: Mode = Mode.MARGINAL,
    basis: Basis = Basis.NET_AMOUNT,
    terms: list[RebateTier] | None = None,
    customers: list[str] | None = None,
    customer_metadata: dict[str, str] | None = None,
    items: list[str] | None = None,
    period: RebatePeriod = RebatePeriod.YEAR,
    refund: RefundMode | None = RefundMode.NONE,
    when_negative: WhenNegative = WhenNegative.CARRY_FORWARD,
    starts_on: date = YEAR,
    ends_on: date | None = None,
    reference: str = "rfa-2026",
) -> NewRebateContract:
    return NewRebateContract(
        reference=Reference(reference),
        name=Name("Ristourne annuelle"),
        currency=EUR,
        tiers=terms or (ORACLE if basis is Basis.NET_AMOUNT else BY_UNITS),
        starts_on=starts_on,
        ends_on=ends_on,
        customers=(["user-42"] if customer_metadata is None else []) if customers is None else customers,
        customer_metadata=customer_metadata or {},
        items=[Reference(item) for item in items] if items else None,
        period=period,
        basis=basis,
        mode=mode,
        refund=refund,
        when_negative=when_negative,
    )


async def a_contract(tx: Tx, **terms: object) -> RebateContract:
    return await create_contract(tx, a_new_contract(**terms))  # type: ignore[arg-type]


def noon(month: int, day: int = 15, year: int = 2026) -> datetime:
    return datetime(year, month, day, 11, tzinfo=UTC)


async def bought(
    tx: Tx, customer: Customer, *lines: PricedLine | str, when: datetime | None = None
) -> Invoice:
    """An invoice of these lines, or of these prices."""
    priced = [line if isinstance(line, PricedLine) else a_line(price=line) for line in lines]
    return await an_issued_invoice(at(tx, when) if when else tx, customer, priced)


async def settled(
    tx: Tx, contract: RebateContract, on: date | None = None, *, when: datetime | None = None
) -> SettledRebate:
    then = at(tx, when) if when else tx
    return await settle_rebate(then, contract.reference, NewRebateSettlement(on=on))


async def now_settled(tx: Tx, contract: RebateContract) -> list[int]:
    """Today, the running period included: the net amounts, taken back below zero."""
    result = await settled(tx, contract, tx.now.date())
    return [
        each.settlement.net.minor if each.settlement.credit_note_id else -each.settlement.net.minor
        for each in result.settlements
    ]


async def standing(tx: Tx, contract: RebateContract) -> PeriodAccrual:
    """Of the newest period that has begun."""
    return (await accruals(tx, contract.reference)).periods[0]
