"""Rebate programmes: a contract about what is given back on what was bought in a period.

            volume of the period  ──tiers──▶  earned  ──less what was given before──▶  due

More than nothing is due: a credit note. Less, because of credits since: it is carried forward to the next
period, or taken back by an invoice. A period can be settled as often as one likes: what is due is given once.
"""

from datetime import date, datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from billing.credit_notes.model import CreditNoteId
from billing.invoices.model import InvoiceId
from billing.parties.model import CustomerId, Metadata, RefundMode
from kernel.decimals import Measure, Rate
from kernel.ids import Id
from kernel.money import Currency, Money
from kernel.structs import Input, Value
from kernel.text import Name, Reference


class RebateContractId(Id, prefix="rbc"):
    """The contract of a rebate programme."""


class RebateSettlementId(Id, prefix="rbs"):
    """What was settled of a contract for one customer and period."""


class RebateAccrualId(Id, prefix="rba"):
    """What of a contract was accrued at a closing."""


class RebatePeriod(StrEnum):
    """How long a period is, from the day on which the contract starts."""

    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    CUSTOM = "custom"  # one, from its start to its end


class Basis(StrEnum):
    """What the volume is counted in."""

    NET_AMOUNT = "net_amount"
    QUANTITY = "quantity"


class Mode(StrEnum):
    """What the rate of a tier is of."""

    MARGINAL = "marginal"  # what falls into the tier
    WHOLE_VOLUME = "whole_volume"  # everything, once the tier is reached


class WhenNegative(StrEnum):
    """What becomes of what was given and is not earned any more."""

    CARRY_FORWARD = "carry_forward"  # it lowers what the next period gives
    CLAW_BACK = "claw_back"  # it is invoiced, once the period is over


class RebateTier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From a volume on, itself included: an amount or a quantity, as the basis is."""

    rate: Rate
    from_amount: Money | None = None
    from_quantity: Measure | None = None


class RebateContract(Value, frozen=True, kw_only=True):
    """Customers are named, or those whose metadata say so; they are counted together.

    `items` are references of plans and add-ons, or what drafts say; null is whatever they buy. Days are the
    seller's; a contract without `ends_on` goes on. `refund` null is the mode of the settings.
    """

    id: RebateContractId
    reference: Reference
    name: Name
    currency: Currency
    customers: tuple[CustomerId, ...]
    customer_metadata: dict[str, str]
    items: tuple[Reference, ...] | None
    period: RebatePeriod
    basis: Basis
    mode: Mode
    tiers: tuple[RebateTier, ...]
    refund: RefundMode | None
    when_negative: WhenNegative
    starts_on: date
    ends_on: date | None
    metadata: dict[str, str]
    created_at: datetime


class NewRebateContract(Input, frozen=True, kw_only=True):
    """Tell the customers, by id or reference, or the metadata that they have: they are counted together.

    Tiers rise, and each includes the volume it begins at. With `items` only their lines count.
    """

    reference: Reference
    name: Name
    currency: Currency
    tiers: Annotated[list[RebateTier], msgspec.Meta(min_length=1, max_length=100)]
    starts_on: date
    ends_on: date | None = None
    customers: Annotated[list[str], msgspec.Meta(max_length=1000)] = []
    customer_metadata: Metadata = {}
    items: Annotated[list[Reference], msgspec.Meta(min_length=1, max_length=100)] | None = None
    period: RebatePeriod = RebatePeriod.YEAR
    basis: Basis = Basis.NET_AMOUNT
    mode: Mode = Mode.MARGINAL
    refund: RefundMode | None = None
    when_negative: WhenNegative = WhenNegative.CARRY_FORWARD
    metadata: Metadata = {}


class RebateContractChange(Input, frozen=True, kw_only=True):
    """Only what is sent changes, and nothing that was agreed: for that there is another contract.

    `ends_on` is a day to come, and the day after the last one that counts.
    """

    name: Name | msgspec.UnsetType = msgspec.UNSET
    ends_on: date | msgspec.UnsetType | None = msgspec.UNSET
    refund: RefundMode | msgspec.UnsetType | None = msgspec.UNSET
    when_negative: WhenNegative | msgspec.UnsetType = msgspec.UNSET
    metadata: Metadata | msgspec.UnsetType = msgspec.UNSET


class Days(Value, frozen=True, order=True):
    """A period of a contract, `[starts_on, ends_on)`."""

    starts_on: date
    ends_on: date


class RebateSettlement(Value, frozen=True, kw_only=True):
    """What was given to a customer by a credit note, or taken back by an invoice: `net`, without its VAT.

    `volume` and `quantity` are what the customer had bought in the period by then, `earned` their part of
    the rebate on it.
    """

    id: RebateSettlementId
    contract_id: RebateContractId
    customer_id: CustomerId
    starts_on: date
    ends_on: date
    currency: Currency
    volume: Money
    quantity: Measure
    earned: Money
    net: Money
    credit_note_id: CreditNoteId | None
    invoice_id: InvoiceId | None
    created_at: datetime

    @property
    def days(self) -> Days:
        return Days(self.starts_on, self.ends_on)


# ── How a period stands ─────────────────────────────────────────────────────────────────────────────────


class CustomerAccrual(Value, frozen=True, kw_only=True):
    """Of one customer. `issued` was given and not taken back since; less than nothing can be due."""

    customer_id: CustomerId
    volume: Money
    quantity: Measure
    earned: Money
    issued: Money
    due: Money
    left: Money


class NextTier(Value, frozen=True, kw_only=True):
    """How much more is to be bought to reach it, and by how much the rebate is higher there."""

    rate: Rate
    more_amount: Money | None
    more_quantity: Measure | None
    brings: Money


class PeriodAccrual(Value, frozen=True, kw_only=True):
    """Of all customers together; `says` tells it in a sentence. `rate` is that of the tier reached."""

    starts_on: date
    ends_on: date
    volume: Money
    quantity: Measure
    rate: Rate
    earned: Money
    issued: Money
    due: Money
    next_tier: NextTier | None
    says: str
    customers: tuple[CustomerAccrual, ...]

    @property
    def days(self) -> Days:
        return Days(self.starts_on, self.ends_on)


class Accruals(Value, frozen=True, kw_only=True):
    """Every period that has begun, the newest first."""

    contract_id: RebateContractId
    periods: tuple[PeriodAccrual, ...]


class NewAccrual(Input, frozen=True, kw_only=True):
    """The day of a closing: what is earned by then and not given is accrued, and reversed the day after."""

    on: date


class RebateAccrual(Value, frozen=True, kw_only=True):
    """What was accrued: 709 and the VAT to adjust against 4198, at the end of `accrued_on`."""

    id: RebateAccrualId
    contract_id: RebateContractId
    accrued_on: date
    currency: Currency
    net: Money
    tax: Money
    created_at: datetime


class NewRebateSettlement(Input, frozen=True, kw_only=True):
    """Settle the period of the day `on`, though it may still run, and all before; or else what is over."""

    on: date | None = None
