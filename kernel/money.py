"""Money is an integer of minor units and a currency. Nothing here knows a float.

Two functions divide, and nothing else in the house does: `allocate` shares an amount out so that the
parts add back to the whole, `round_half_up` rounds one exact fraction to one integer.
"""

from collections.abc import Iterable, Sequence
from typing import Annotated, ClassVar, Self

import msgspec

MAX_MINOR = 10**13

# ISO 4217, active codes that money is paid in. Minor-unit exponents other than 2 stand below.
_CODES = frozenset(
    """
    AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BRL BSD BTN BWP BYN
    BZD CAD CDF CHF CLP CNY COP CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS
    GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW
    KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD
    NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD
    SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD UYU UZS VED
    VES VND VUV WST XAF XCD XOF XPF YER ZAR ZMW ZWG
    """.split()
)
_EXPONENTS = {
    **dict.fromkeys("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split(), 0),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
}


class Currency(str):
    """An ISO 4217 code, `EUR`."""

    __slots__ = ()

    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "pattern": "^[A-Z]{3}$",
        "examples": ["EUR"],
        "description": "An ISO 4217 currency code.",
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        if text not in _CODES:
            raise ValueError(f"{text!r} is not an ISO 4217 currency code such as EUR")
        return cls(text)

    @property
    def exponent(self) -> int:
        """How many decimals one major unit has: EUR 2, JPY 0, KWD 3."""
        return _EXPONENTS.get(self, 2)


class Money(msgspec.Struct, frozen=True, gc=False):
    """`minor` counts the smallest unit of `currency`: 29.00 EUR is 2900, 29 JPY is 29."""

    minor: Annotated[int, msgspec.Meta(ge=-MAX_MINOR, le=MAX_MINOR)]
    currency: Currency

    def __add__(self, other: "Money") -> "Money":
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: "Money") -> "Money":
        return Money(self.minor - self._same(other), self.currency)

    def __neg__(self) -> "Money":
        return Money(-self.minor, self.currency)

    def __lt__(self, other: "Money") -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: "Money") -> bool:
        return self.minor <= self._same(other)

    def __gt__(self, other: "Money") -> bool:
        return self.minor > self._same(other)

    def __ge__(self, other: "Money") -> bool:
        return self.minor >= self._same(other)

    def __bool__(self) -> bool:
        return self.minor != 0

    def __str__(self) -> str:
        return f"{self.decimal} {self.currency}"

    @property
    def decimal(self) -> str:
        """The amount in major units with all its decimals: `29.00`, `-0.05`, `29` for JPY."""
        sign = "-" if self.minor < 0 else ""
        exponent = self.currency.exponent
        digits = str(abs(self.minor)).rjust(exponent + 1, "0")
        return sign + (f"{digits[:-exponent]}.{digits[-exponent:]}" if exponent else digits)

    def _same(self, other: "Money") -> int:
        assert self.currency == other.currency, f"{self} and {other} do not mix"
        return other.minor


def zero(currency: Currency) -> Money:
    return Money(0, currency)


def total(amounts: Iterable[Money], currency: Currency) -> Money:
    """The sum; `currency` says what the sum of nothing is."""
    minor = 0
    for amount in amounts:
        assert amount.currency == currency, f"{amount} is not in {currency}"
        minor += amount.minor
    return Money(minor, currency)


def round_half_up(numerator: int, denominator: int) -> int:
    """The integer nearest to the fraction; a half goes up, towards plus infinity."""
    return (2 * numerator + denominator) // (2 * denominator)


def allocate(amount: Money, weights: Sequence[int]) -> list[Money]:
    """Share `amount` out in proportion to `weights` (≥ 0): largest remainder, ties to the first.

    The parts add back to the amount exactly. All weights zero is only allowed for an amount of zero.
    """
    assert not amount or any(weights), f"{amount} cannot be shared out over weights that add up to nothing"
    return [Money(part, amount.currency) for part in allocate_minor(amount.minor, weights)]


def allocate_minor(minor: int, weights: Sequence[int]) -> list[int]:
    """`allocate` of an amount whose currency goes without saying."""
    if not minor:
        return [0] * len(weights)
    whole = sum(weights)
    parts = [minor * weight // whole for weight in weights]
    left = minor - sum(parts)
    if left:
        remainders = [minor * weight % whole for weight in weights]
        # Sorting is stable, also in reverse: of equal remainders the first is served first.
        for index in sorted(range(len(weights)), key=remainders.__getitem__, reverse=True)[:left]:
            parts[index] += 1
    return parts
