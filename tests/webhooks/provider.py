"""A provider's books in memory, for tests of what follows from them."""

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from billing.gateways.connections.model import PaymentConnectionId
from billing.gateways.model import (
    Charge,
    ChargeIntent,
    DisputeMade,
    DisputeStatus,
    GatewayTimeout,
    MethodSaved,
    Outcome,
    RefundIntent,
    RefundMade,
    Status,
)
from kernel.ids import Id
from kernel.money import Money
from tests.makers import NOON
from webhooks.provider import Provider

HERE = PaymentConnectionId.new()  # any id will do for a connection


class Books:
    """What is said to have happened last is what is there."""

    def __init__(self) -> None:
        self.charges: dict[str, Charge] = {}
        self.refunds: dict[str, RefundMade] = {}
        self.disputes: dict[str, DisputeMade] = {}
        self.methods: dict[str, MethodSaved] = {}
        self.asked: list[str] = []

    @property
    def name(self) -> str:
        return "sandbox"

    @property
    def provider(self) -> Provider:
        return Provider(name="sandbox", connection_id=HERE, books=self)

    # ── what happens there ───────────────────────────────────────────────────────────────────────

    def charged(
        self, reference: str, amount: Money, status: Status = Status.SUCCEEDED, **more: Any
    ) -> Charge:
        fields: dict[str, Any] = {
            "our_id": None,
            "customer": None,
            "payment_method": "pm_1",
            "refunded": Money(0, amount.currency),
            "failure_code": "card_declined" if status is Status.FAILED else None,
            "created_at": NOON,
        }
        made = Charge(reference=reference, amount=amount, status=status, **{**fields, **more})
        self.charges[reference] = made
        return made

    def refunded(
        self, reference: str, charge: str, amount: Money, status: Status = Status.SUCCEEDED, **more: Any
    ) -> RefundMade:
        fields: dict[str, Any] = {
            "our_id": None,
            "failure_code": "declined" if status is Status.FAILED else None,
            "created_at": NOON,
        }
        made = RefundMade(
            reference=reference, charge=charge, amount=amount, status=status, **{**fields, **more}
        )
        self.refunds[reference] = made
        return made

    def dispute(
        self, reference: str, charge: str, amount: Money, status: DisputeStatus = DisputeStatus.OPEN
    ) -> DisputeMade:
        made = DisputeMade(
            reference=reference,
            charge=charge,
            amount=amount,
            status=status,
            reason="product_not_received",
            created_at=NOON,
        )
        self.disputes[reference] = made
        return made

    def decide(self, reference: str, status: Status) -> None:
        """Of a charge or a refund."""
        failure_code = "declined" if status is Status.FAILED else None
        if reference in self.charges:
            charge = self.charges[reference]
            self.charges[reference] = replace(charge, status=status, failure_code=failure_code)
        else:
            refund = self.refunds[reference]
            self.refunds[reference] = replace(refund, status=status, failure_code=failure_code)

    # ── as a gateway, it only answers what it knows ──────────────────────────────────────────────

    async def charge(self, intent: ChargeIntent) -> Outcome:
        raise GatewayTimeout

    async def find_charge(self, intent: ChargeIntent) -> Outcome | None:
        return _found(self.charges.values(), intent.id)

    async def refund(self, intent: RefundIntent) -> Outcome:
        raise GatewayTimeout

    async def find_refund(self, intent: RefundIntent) -> Outcome | None:
        return _found(self.refunds.values(), intent.id)

    # ── how it is read ───────────────────────────────────────────────────────────────────────────

    async def charge_of(self, reference: str) -> Charge | None:
        self.asked.append(reference)
        return self.charges.get(reference)

    async def refund_of(self, reference: str) -> RefundMade | None:
        self.asked.append(reference)
        return self.refunds.get(reference)

    async def dispute_of(self, reference: str) -> DisputeMade | None:
        self.asked.append(reference)
        return self.disputes.get(reference)

    async def method_of(self, checkout: str) -> MethodSaved | None:
        self.asked.append(checkout)
        return self.methods.get(checkout)

    async def charges_since(self, at: datetime) -> AsyncIterator[Charge]:
        for each in _newest_first(self.charges, at):
            yield each

    async def refunds_since(self, at: datetime) -> AsyncIterator[RefundMade]:
        for each in _newest_first(self.refunds, at):
            yield each

    async def disputes_since(self, at: datetime) -> AsyncIterator[DisputeMade]:
        for each in _newest_first(self.disputes, at):
            yield each


def _found(known: Iterable[Charge | RefundMade], our_id: Id) -> Outcome | None:
    for each in known:
        if each.our_id == str(our_id):
            return Outcome(status=each.status, reference=each.reference, failure_code=each.failure_code)
    return None


def _newest_first(known: dict[str, Any], at: datetime) -> list[Any]:
    return [each for each in reversed(known.values()) if each.created_at >= at]
