"""A gateway is our side of a payment provider. Every one passes the same contract suite.

Each call carries our own id, which the provider keeps: the same id is the same charge or refund, however
often it is sent, and `find_…` tells what became of it when an answer was lost.
"""

from enum import StrEnum
from typing import Protocol

from kernel.ids import Id
from kernel.money import Money
from kernel.structs import Value


class Status(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    PENDING = "pending"


class Outcome(Value, frozen=True, kw_only=True):
    """What the provider says. `reference` is its own id, `failure_code` its reason."""

    status: Status
    reference: str
    failure_code: str | None = None


class GatewayTimeout(Exception):
    """No answer. The provider may or may not have done it: look it up before sending it again."""


class Gateway(Protocol):
    @property
    def name(self) -> str: ...

    async def charge(self, our_id: Id, amount: Money, payment_method: str) -> Outcome:
        """Raises GatewayTimeout."""
        ...

    async def find_charge(self, our_id: Id) -> Outcome | None: ...

    async def refund(self, our_id: Id, charge_reference: str, amount: Money) -> Outcome:
        """Raises GatewayTimeout."""
        ...

    async def find_refund(self, our_id: Id) -> Outcome | None: ...
