"""The settlement of a rebate over very many invoice lines: how long, and how much memory it needs.

The lines are of paid invoices of one customer, ten each, copied from one that the house's own verbs issued.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from functools import partial

import click

from bench import house
from bench.copies import copy_invoice
from bench.population import tenant_named
from bench.processes import together
from kernel.database import open_pool, transaction
from kernel.decimals import Rate
from kernel.ids import TenantId
from kernel.money import Money
from promotions.rebates.model import NewRebateSettlement, RebateTier
from refunds.settle_rebate import settle_rebate
from tests.makers import EUR, a_line, vat
from tests.promotions.rebates.contracts import a_contract
from tests.shop import a_payment, a_shop, an_issued_invoice

BEGAN = datetime(2026, 1, 15, 11, 0, tzinfo=UTC)
OVER = datetime(2027, 1, 2, 11, 0, tzinfo=UTC)
LINES = 10
STARTS_ON = date(2026, 1, 1)


async def measure(sizes: Sequence[int]) -> None:
    click.echo(f"{LINES} lines an invoice, all paid")
    for lines in sizes:
        name = f"rebate{lines}"
        await house.new_database(name)
        started = time.monotonic()
        tenant = await _populate(name, lines // LINES)
        made = time.monotonic() - started
        ran = await together([partial(_settle, name, tenant)])
        click.echo(
            f"  {lines:9,} lines   {ran.seconds:6.1f} s   {lines / ran.seconds:8,.0f} lines/s   "
            f"{ran.peak_mb} MB at most   (made in {made:.0f} s)"
        )


async def _settle(name: str, tenant: TenantId, begin: Callable[[], None]) -> int:
    pool = await open_pool(house.app_url_of(name), size=1)
    begin()
    async with transaction(pool, tenant, now=OVER) as tx:
        settled = await settle_rebate(tx, "rfa-2026", NewRebateSettlement())
    await pool.close()
    return len(settled.settlements)


async def _populate(name: str, invoices: int) -> TenantId:
    pool = await open_pool(house.app_url_of(name), size=1)
    async with house.as_owner(name) as owner:
        tenant = await tenant_named(owner, "bench-rebates")
        async with transaction(pool, tenant, now=BEGAN) as tx:
            customer = await a_shop(tx)
            priced = [
                a_line(f"Poste {n}", f"{n}.07", str(n), tax=vat("20" if n % 3 else "5.5"))
                for n in range(1, LINES + 1)
            ]
            invoice = await an_issued_invoice(tx, customer, priced)
            await a_payment(tx, invoice)
            tiers = [RebateTier(from_amount=Money(0, EUR), rate=Rate.parse("7.5"))]
            await a_contract(tx, terms=tiers, starts_on=STARTS_ON)
        await copy_invoice(owner, invoice.id, invoices - 1)
        await owner.execute("VACUUM ANALYZE")
    await pool.close()
    return tenant
