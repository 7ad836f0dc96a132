"""How often a code may be tried in vain: who guesses has to stop after a few.

A failure is counted when what it was part of has been refused and undone, so requests that are under way at
the same moment are not counted against one another: they are as many as there are connections.
"""

from functools import partial

from kernel.database import Tx
from promotions.coupons import rules, store

ANYBODY = ""  # who gives no name is counted with all who give none


async def check(tx: Tx, who: str) -> None:
    """Raises TooMany `coupon_attempts`, whatever the codes are."""
    rules.check_attempts(await store.attempts(tx, who), who, now=tx.wall)


def failed(tx: Tx, who: str, codes: int) -> None:
    """So many codes could not be used. It stays counted although the command is refused."""
    tx.when_undone.append(partial(store.count_failures, who=who, failures=codes, within=rules.WINDOW))
