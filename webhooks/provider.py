"""A provider as one connection reaches it."""

from typing import Protocol

from billing.gateways.connections.model import PaymentConnectionId
from billing.gateways.model import Gateway, Ledgered
from kernel.structs import Value


class Books(Gateway, Ledgered, Protocol):
    """A gateway whose books can be read."""


class Provider(Value, frozen=True, kw_only=True):
    """Its name, as payments keep it, and its books."""

    name: str
    connection_id: PaymentConnectionId
    books: Books
