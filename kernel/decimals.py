"""Exact decimals on the wire are strings in plain ASCII digits: `"5.5"`, never 5.5, NaN or 1E+9."""

import re
from decimal import Decimal
from typing import ClassVar, Self

from kernel.money import Currency, Money, round_half_up

_PLAIN = re.compile(r"[0-9]{1,13}(\.[0-9]{1,12})?", re.ASCII)

PPM = 1_000_000
_PICO = 10**12
_MICRO = 10**6


def _plain(text: str, *, digits: int, decimals: int, what: str) -> Decimal:
    whole, _, part = text.partition(".")
    if not _PLAIN.fullmatch(text) or len(whole) > digits or len(part) > decimals:
        raise ValueError(
            f"{what} is a decimal string of plain digits, at most {digits} before the point "
            f"and at most {decimals} after it"
        )
    return Decimal(text)


class Rate(int):
    """A rate or percentage in parts per million: 5.5 % is 55 000. On the wire, `"5.5"`."""

    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "pattern": r"^[0-9]{1,3}(\.[0-9]{1,4})?$",
        "examples": ["20", "5.5"],
        "description": "A percentage between 0 and 100 with at most 4 decimals, as a string.",
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        percent = _plain(text, digits=3, decimals=4, what="A rate")
        if percent > 100:
            raise ValueError("A rate is a percentage between 0 and 100")
        return cls(int(percent.scaleb(4)))

    def __str__(self) -> str:
        whole, part = divmod(int(self), 10_000)
        return f"{whole}.{part:04d}".rstrip("0").rstrip(".")

    def of(self, amount: Money) -> Money:
        """This share of an amount, rounded half up."""
        return Money(round_half_up(amount.minor * self, PPM), amount.currency)

    def added_to(self, amount: Money) -> Money:
        """An amount with this share of it."""
        return amount + self.of(amount)

    def taken_out_of(self, amount: Money) -> Money:
        """What an amount was before this share of it was added, rounded half up: 20 % out of 120 is 100."""
        return Money(round_half_up(amount.minor * PPM, PPM + self), amount.currency)


class Measure(Decimal):
    """How many units of what is counted, up to a trillion, with at most 6 decimals."""

    most: ClassVar[int] = 10**12
    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "pattern": r"^[0-9]{1,13}(\.[0-9]{1,6})?$",
        "examples": ["420", "1.5"],
        "description": "A quantity up to 1000000000000 with at most 6 decimals, as a string.",
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        quantity = cls(_plain(text, digits=len(str(cls.most)), decimals=6, what="A quantity"))
        if quantity > cls.most:
            raise ValueError(f"A quantity is at most {cls.most}")
        return quantity

    @property
    def micro(self) -> int:
        """The quantity in millionths, an integer to calculate with."""
        return int(self.scaleb(6))

    def __str__(self) -> str:
        whole, _, decimals = f"{Decimal(self):f}".partition(".")
        decimals = decimals.rstrip("0")
        return f"{whole}.{decimals}" if decimals else whole


class Quantity(Measure):
    """How many units are agreed to, up to a million, with at most 6 decimals."""

    most: ClassVar[int] = 10**6
    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "pattern": r"^[0-9]{1,7}(\.[0-9]{1,6})?$",
        "examples": ["3", "1.5"],
        "description": "A quantity up to 1000000 with at most 6 decimals, as a string.",
    }


class UnitPrice(Decimal):
    """The price of one unit in major units (`"9.90"`), with at most 12 decimals; rounded per line."""

    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "pattern": r"^[0-9]{1,13}(\.[0-9]{1,12})?$",
        "examples": ["29.00"],
        "description": "A price per unit in major units with at most 12 decimals, as a string.",
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        return cls(_plain(text, digits=13, decimals=12, what="A unit price"))

    @classmethod
    def giving(cls, amount: Money, quantity: Measure) -> Self:
        """The price of fewest decimals that comes to the amount; of no units at all it is zero."""
        if not quantity:
            return cls("0.00")
        price = cls("0.00")
        for decimals in range(amount.currency.exponent, 13):
            numerator = amount.minor * 10 ** (decimals - amount.currency.exponent) * _MICRO
            price = cls(Decimal(round_half_up(numerator, quantity.micro)).scaleb(-decimals))
            if price.times(quantity, amount.currency) == amount:
                break
        return price

    def times(self, quantity: Measure, currency: Currency, *, part: int = 1, whole: int = 1) -> Money:
        """The amount of a line, or of a part of it, rounded half up once: 1.005 × 1 is 1.01."""
        pico = int(self.scaleb(12))
        numerator = pico * quantity.micro * 10**currency.exponent * part
        return Money(round_half_up(numerator, _PICO * _MICRO * whole), currency)

    def __str__(self) -> str:
        """Without the zeros a column pads it with: `9.90`, `0.0125`."""
        whole, _, decimals = f"{Decimal(self):f}".partition(".")
        return f"{whole}.{decimals.rstrip('0'):0<2}"
