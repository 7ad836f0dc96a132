"""Which part of which note or payment settles which invoice. Pure.

What is asked for exactly goes first, then as much as goes of the others, each in the order given: the first
source pays the first invoice as far as both reach, and so on. Whatever the amounts, as much is matched as
the smaller side has.
"""

from collections.abc import Iterator, Sequence

from kernel.errors import Conflict
from kernel.money import Money, total, zero
from kernel.structs import Value


class Side(Value, frozen=True, kw_only=True):
    """A document of one of the two sides: `amount` of it takes part, all of that where `exactly` is said."""

    number: str
    amount: Money
    exactly: bool


class Match(Value, frozen=True, kw_only=True):
    """So much of the source at that place settles the invoice at that place."""

    source: int
    invoice: int
    amount: Money


def spread(sources: Sequence[Side], invoices: Sequence[Side]) -> list[Match]:
    """Raises Conflict `settlement_unplaced` where the other side has no room for what is asked exactly."""
    _check(sources, invoices)
    _check(invoices, sources)
    return list(_matches(sources, invoices))


def _check(sides: Sequence[Side], others: Sequence[Side]) -> None:
    currency = sides[0].amount.currency
    wanted = total((side.amount for side in sides if side.exactly), currency)
    room = total((side.amount for side in others), currency)
    if wanted > room:
        named = ", ".join(side.number for side in sides if side.exactly)
        others_named = ", ".join(side.number for side in others)
        raise Conflict(
            "settlement_unplaced",
            f"{wanted} of {named} are to be matched, and {others_named} take {room}. Say less, or name more.",
        )


def _matches(sources: Sequence[Side], invoices: Sequence[Side]) -> Iterator[Match]:
    waiting = _exact_first(invoices)
    due = [invoice.amount for invoice in invoices]
    for source in _exact_first(sources):
        left = sources[source].amount
        while left and waiting:
            invoice = waiting[0]
            part = min(left, due[invoice])
            if part:
                yield Match(source=source, invoice=invoice, amount=part)
            left -= part
            due[invoice] -= part
            if due[invoice] <= zero(left.currency):
                waiting.pop(0)


def _exact_first(sides: Sequence[Side]) -> list[int]:
    return sorted(range(len(sides)), key=lambda place: not sides[place].exactly)
