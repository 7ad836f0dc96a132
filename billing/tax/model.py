"""VAT: which category and rate a line falls under, and why where nothing is charged."""

from datetime import datetime
from enum import StrEnum

import msgspec

from kernel.decimals import Rate
from kernel.ids import Id
from kernel.money import Money
from kernel.structs import Input, Value
from kernel.text import Name, Reference


class TaxRateId(Id, prefix="txr"):
    """A VAT rate a tenant sells at."""


class Category(StrEnum):
    """VAT category codes of EN 16931 (UNCL 5305). Only `S` charges tax."""

    STANDARD = "S"
    ZERO_RATED = "Z"
    EXEMPT = "E"  # also the French franchise en base
    REVERSE_CHARGE = "AE"
    INTRA_COMMUNITY = "K"
    EXPORT = "G"
    OUT_OF_SCOPE = "O"


class TaxBehavior(StrEnum):
    """Whether prices, fixed discounts and amounts to credit are without VAT (net) or with it (gross)."""

    EXCLUSIVE = "exclusive"
    INCLUSIVE = "inclusive"


class TaxGroup(msgspec.Struct, frozen=True, order=True, gc=False):
    """What VAT is summed and rounded over on a document: one category, rate and reason."""

    category: Category
    rate: Rate
    reason: str = ""


# What is credited without correcting the VAT that was invoiced (CGI art. 272, "net de taxe").
NET_OF_TAX = TaxGroup(Category.OUT_OF_SCOPE, Rate(0), "net_of_tax")


class TaxTreatment(Value, frozen=True, kw_only=True):
    """What a sale is charged, and the VAT its gross price was made with that this customer is not charged."""

    group: TaxGroup
    waived: TaxGroup | None = None


class GroupTax(Value, frozen=True, kw_only=True):
    """One group's part of a document: what is taxed, net, and the VAT on it."""

    group: TaxGroup
    base: Money
    tax: Money


class TaxRate(Value, frozen=True, kw_only=True):
    """`reason` is the mention printed where no tax is charged."""

    id: TaxRateId
    reference: Reference
    name: Name
    category: Category
    rate: Rate
    reason: str
    created_at: datetime

    @property
    def group(self) -> TaxGroup:
        return TaxGroup(self.category, self.rate, self.reason)


class NewTaxRate(Input, frozen=True, kw_only=True):
    """A rate to sell at. Every category but S and Z needs a reason, which is printed on documents."""

    reference: Reference
    name: Name
    category: Category = Category.STANDARD
    rate: Rate
    reason: Name | None = None
