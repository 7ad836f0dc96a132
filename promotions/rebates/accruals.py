"""How the periods of a contract stand: read at any time, and what a settlement decides by."""

from collections.abc import Sequence
from datetime import date

from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId
from billing.rebates import store as lines
from billing.rebates.model import Scope, Volume
from kernel.database import Tx
from kernel.errors import Conflict
from kernel.periods import local_date
from kernel.structs import Value
from promotions.rebates import rules, store
from promotions.rebates.create_contract import zone_of
from promotions.rebates.model import Accruals, Days, PeriodAccrual, RebateContract, RebateSettlement


class History(Value, frozen=True, kw_only=True):
    """A contract, whom it is with, what was settled of it, and what they did not buy but give back."""

    contract: RebateContract
    members: tuple[CustomerId, ...]
    settled: Sequence[RebateSettlement]
    not_bought: tuple[InvoiceId, ...]

    def scope(
        self, days: Days, customers: Sequence[CustomerId] | None = None, *, until: date | None = None
    ) -> Scope:
        """Of all, or only of some; up to a day where one is given, itself left out."""
        of_whom = self.members if customers is None else tuple(customers)
        of_period = [each for each in self.settled if each.days == days and each.customer_id in of_whom]
        return Scope(
            customers=of_whom,
            currency=self.contract.currency,
            starts_on=days.starts_on,
            ends_on=min(days.ends_on, until) if until else days.ends_on,
            items=self.contract.items,
            given=tuple(each.credit_note_id for each in of_period if each.credit_note_id),
            taken_back=tuple(each.invoice_id for each in of_period if each.invoice_id),
            not_bought=self.not_bought,
        )


async def accruals(tx: Tx, key: str) -> Accruals:
    contract = await store.get(tx, key)
    today = local_date(tx.now, await zone_of(tx))
    history = await history_of(tx, contract, await store.members(tx, contract))

    stand = [await accrual(tx, history, days) for days in rules.periods_begun(contract, today)]
    return Accruals(contract_id=contract.id, periods=tuple(reversed(stand)))


async def history_of(tx: Tx, contract: RebateContract, members: tuple[CustomerId, ...]) -> History:
    return History(
        contract=contract,
        members=members,
        settled=await store.settlements_of(tx, contract.id),
        not_bought=await store.taken_back_from(tx, members),
    )


async def accrual(tx: Tx, history: History, days: Days, *, until: date | None = None) -> PeriodAccrual:
    volumes = await _volumes(tx, history.scope(days, until=until))
    return rules.accrual_of(history.contract, days, volumes, history.settled)


async def _volumes(tx: Tx, scope: Scope) -> list[Volume]:
    volumes = await lines.volumes(tx, scope)
    if any(volume.is_gross for volume in volumes):
        raise Conflict(
            "rebate_gross_prices",
            "Lines with prices that include VAT are in the scope of this rebate: only net prices can be. "
            "Name the items it is for.",
        )
    return volumes
