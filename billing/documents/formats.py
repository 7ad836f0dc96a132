"""Amounts, rates and dates as people read them. Exact: nothing is rounded here, nothing is a float.

How many decimals a currency has is ours to say (kernel.money), how they are written is CLDR's.
"""

from datetime import date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_date
from babel.numbers import (
    format_currency,
    format_decimal,
    format_percent,
    get_currency_symbol,
)

from billing.parties.model import Address, Language
from kernel.decimals import Measure, Rate, UnitPrice
from kernel.money import Currency, Money
from kernel.periods import Period, local_date

# British English, because our sellers write 1 January 2026 and mean US$ when they do.
_LOCALES = {Language.FRENCH: Locale("fr", "FR"), Language.ENGLISH: Locale("en", "GB")}


class Formats:
    """One language's way to write things."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self._locale = _LOCALES[language]

    def money(self, amount: Money) -> str:
        """With its currency: `1 234,50 €`, `€1,234.50`, `JP¥500`."""
        pattern = self._locale.currency_formats["standard"].pattern
        pattern = pattern.replace(".00", _decimals(amount.currency))
        if get_currency_symbol(amount.currency, self._locale)[-1].isalpha():
            pattern = pattern.replace("¤#", "¤\u00a0#")  # KWD 1.000, but €1.00
        return format_currency(
            Decimal(amount.decimal),
            amount.currency,
            pattern,
            locale=self._locale,
            currency_digits=False,
        )

    def number(self, amount: Money) -> str:
        """Without its currency, for columns that say it above."""
        return self._decimal(Decimal(amount.decimal), "#,##0" + _decimals(amount.currency))

    def unit_price(self, price: UnitPrice, currency: Currency) -> str:
        """With the currency's decimals, and as many more as the price has."""
        least = _decimals(currency)
        more = "#" * (12 - currency.exponent)
        return self._decimal(price, f"#,##0{least or '.'}{more}")

    def quantity(self, quantity: Measure) -> str:
        return self._decimal(quantity, "#,##0.######")

    def rate(self, rate: Rate) -> str:
        """`20,00 %`: with two decimals at least, as French rules want it."""
        pattern = "#,##0.00##\u00a0%"
        return str(format_percent(Decimal(int(rate)).scaleb(-6), pattern, locale=self._locale))

    def long_date(self, day: date) -> str:
        return self._written(day, "long")

    def short_date(self, day: date) -> str:
        """Shorter, for a line of a table: `1 Jan 2026`."""
        return self._written(day, "medium")

    def period(self, period: Period, zone: ZoneInfo) -> str:
        """The days it covers, first and last: `[1 Jan, 1 Feb)` is written 1 Jan – 31 Jan."""
        first = local_date(period.start, zone)
        last = local_date(period.end - timedelta.resolution, zone)
        return (
            self.short_date(first) if first == last else f"{self.short_date(first)} – {self.short_date(last)}"
        )

    def address(self, address: Address) -> list[str]:
        city = " ".join(filter(None, (address.postal_code, address.city)))
        country = self._locale.territories[address.country]
        return [line for line in (address.line1, address.line2, city, country) if line]

    def _decimal(self, value: Decimal, pattern: str) -> str:
        return str(format_decimal(Decimal(value), pattern, locale=self._locale))

    def _written(self, day: date, length: str) -> str:
        text = format_date(day, length, locale=self._locale)
        french_first = self.language is Language.FRENCH and day.day == 1
        return "1er" + text[1:] if french_first else text


def in_fours(iban: str) -> str:
    """As an IBAN is written, whatever the language."""
    plain = iban.replace(" ", "")
    return " ".join(plain[i : i + 4] for i in range(0, len(plain), 4))


def _decimals(currency: Currency) -> str:
    return "." + "0" * currency.exponent if currency.exponent else ""
