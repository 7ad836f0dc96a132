"""A Stripe of our own, for tests: the real SDK talks to it, in this process or on a loopback port.

It remembers what was done, keeps idempotency keys for 24 hours of its own clock, signs its events, and
misbehaves on order: it does what was asked and does not answer, it fails before or after, it is busy.

    shapes.py     every object, with the fields the SDK says it has
    account.py    what one account has in its books, and what happens in it
    misbehaving.py  the faults that can be ordered
    server.py     HTTP: keys, forms, lists, idempotency, faults
"""

from tests.stripe_server.account import Account, Card
from tests.stripe_server.misbehaving import Fault
from tests.stripe_server.server import StripeServer, sign

__all__ = ["Account", "Card", "Fault", "StripeServer", "sign"]
