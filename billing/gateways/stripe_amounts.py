"""Amounts as Stripe counts them: its smallest units are not always those of ISO 4217. Pure.

The tables are those of https://docs.stripe.com/currencies: currencies without decimals, currencies that are
written with two decimals that must be 00, and currencies with three decimals of which the last must be 0.
"""

from kernel.money import Currency, Money

_WITHOUT_DECIMALS = frozenset("BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split())
_WHOLE_WITH_DECIMALS = frozenset("ISK UGX".split())
_THREE_DECIMALS = frozenset("BHD JOD KWD OMR TND".split())


def to_stripe(amount: Money) -> int | None:
    """Its integer for an amount; None when Stripe cannot move that amount."""
    shift = _exponent(amount.currency) - amount.currency.exponent
    if shift >= 0:
        units, rest = amount.minor * 10**shift, 0
    else:
        units, rest = divmod(amount.minor, 10**-shift)
    return None if rest or units % _step(amount.currency) else units


def from_stripe(units: int, code: str) -> Money | None:
    """The amount that its integer says; None in a currency, or a part of a unit, that we do not have."""
    try:
        currency = Currency.parse(code.upper())
    except ValueError:
        return None
    shift = currency.exponent - _exponent(currency)
    if shift >= 0:
        return Money(units * 10**shift, currency)
    minor, rest = divmod(units, 10**-shift)
    return None if rest else Money(minor, currency)


def _exponent(currency: Currency) -> int:
    if currency in _WITHOUT_DECIMALS:
        return 0
    return 2 if currency in _WHOLE_WITH_DECIMALS else currency.exponent


def _step(currency: Currency) -> int:
    if currency in _WHOLE_WITH_DECIMALS:
        return 100
    return 10 if currency in _THREE_DECIMALS else 1
