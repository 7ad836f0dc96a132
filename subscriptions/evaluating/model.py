"""What would this customer pay, and why did the code not work? Asked and answered, never recorded."""

from datetime import datetime
from typing import Annotated

import msgspec

from billing.invoices.model import Allowance
from billing.parties.model import CustomerId, Metadata
from billing.tax.model import GroupTax, TaxBehavior, TaxGroup
from kernel.decimals import Measure, Quantity, UnitPrice
from kernel.errors import Invalid
from kernel.money import Currency, Money
from kernel.periods import Period
from kernel.structs import Input, Value
from kernel.text import Country, Email, Name, Reference
from promotions.model import OfferId
from subscriptions.model import BillingAnchor, NewAddons, SubscriptionId


class Newcomer(Input, frozen=True, kw_only=True):
    """Somebody who is no customer yet, as far as prices and offers ask about them.

    Without a `country` they are in the seller's; `tax_rate` is what they would be registered with.
    """

    country: Country | None = None
    metadata: Metadata = {}
    email: Email | None = None
    vat_number: Name | None = None
    legal_entity: str | None = None
    tax_rate: str | None = None


class AskedLine(Input, frozen=True, kw_only=True):
    """Something in a basket that is no plan of ours, or a plan at another price: what it costs, all of it."""

    amount: Money
    description: Name = Name("Line")
    plan: Reference | None = None
    quantity: Quantity | None = None
    recurring: bool = True
    discountable: bool = True


class NewEvaluation(Input, frozen=True, kw_only=True):
    """One of three: a `plan` that somebody would sign up for, `lines` of a basket, or the next invoice of a
    `subscription`. With `offers` by reference or id, and `coupons` by their codes.

    `customer` is an id or a reference; who is not there yet is a `newcomer`.
    """

    customer: str | None = None
    newcomer: Newcomer | None = None
    plan: str | None = None
    quantity: Quantity = Quantity(1)
    addons: NewAddons = []
    currency: Currency | None = None
    billing_anchor: BillingAnchor | None = None
    lines: Annotated[tuple[AskedLine, ...], msgspec.Meta(max_length=100)] = ()
    subscription: SubscriptionId | None = None
    offers: Annotated[tuple[str, ...], msgspec.Meta(max_length=100)] = ()
    coupons: Annotated[tuple[str, ...], msgspec.Meta(max_length=20)] = ()

    def check(self) -> None:
        if sum((self.plan is not None, bool(self.lines), self.subscription is not None)) != 1:
            raise Invalid(
                "evaluation_of_one",
                "Name one of these: a plan, the lines of a basket, or a subscription.",
                param="plan",
            )
        if self.subscription is not None and (self.customer is not None or self.newcomer is not None):
            raise Invalid(
                "evaluation_of_one",
                "The subscription says whose it is: leave the customer out.",
                param="customer",
            )
        if any(line.amount.minor < 0 for line in self.lines):
            raise Invalid("line_negative", "A line costs nothing or more.", param="lines")
        currencies = {line.amount.currency for line in self.lines} | (
            {self.currency} if self.currency else set()
        )
        if self.lines and len(currencies) > 1:
            raise Invalid("currency_mismatch", "The lines of a basket are in one currency.", param="lines")


class EvaluatedLine(Value, frozen=True, kw_only=True):
    """As it would stand on the invoice: `net = amount - discount - included_tax`."""

    item: Reference | None
    description: Name
    quantity: Measure
    unit_price: UnitPrice
    recurring: bool
    period: Period | None
    amount: Money
    discount: Money
    included_tax: Money
    net: Money
    allowances: tuple[Allowance, ...]
    discountable: bool
    tax: TaxGroup


class Applied(Value, frozen=True, kw_only=True):
    """An offer that comes off, and how much in all; by a code, where it took one."""

    offer_id: OfferId
    offer: Reference
    name: Name
    coupon: str | None
    discount: Money


class Refused(Value, frozen=True, kw_only=True):
    """An offer or a code that was asked for or is held, and why nothing comes off by it; `code` is stable."""

    offer_id: OfferId | None
    offer: Reference | None
    coupon: str | None
    code: str
    detail: str


class Evaluation(Value, frozen=True, kw_only=True):
    """What would be billed, and when: after the `free_days`, if any. Nothing was recorded.

    `amount` is what the lines come to before offers, net or gross as prices are.
    """

    customer_id: CustomerId | None
    currency: Currency
    tax_behavior: TaxBehavior | None
    free_days: int
    billed_at: datetime | None
    period: Period | None
    lines: tuple[EvaluatedLine, ...]
    applied: tuple[Applied, ...]
    refused: tuple[Refused, ...]
    amount: Money
    discount: Money
    net: Money
    tax: Money
    total: Money
    taxes: tuple[GroupTax, ...]
