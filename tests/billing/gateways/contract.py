"""What every gateway promises. The tests of a gateway subclass `GatewayContract` and say how it behaves."""

from datetime import UTC, datetime

import pytest

from billing.gateways.model import ChargeIntent, Gateway, GatewayTimeout, Outcome, RefundIntent, Status
from billing.payments.model import PaymentId
from kernel.ids import Id
from tests.makers import euros

REFUND = PaymentId  # any id of ours will do


class Behaviour:
    """A gateway, the payment methods that make it behave, and what its provider really did."""

    ok: str
    declined: str
    timeout: str
    late: str
    refund_declined: str
    refund_timeout: str
    refund_late: str

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway

    async def method_of(self, how: str) -> tuple[str, str | None]:
        """A payment method that behaves like that, and the provider's customer who owns it."""
        return how, None

    async def decide(self, our_id: Id) -> None:
        """What was pending is decided now."""
        raise NotImplementedError

    async def charges(self, our_id: Id) -> list[int]:
        """The minor amounts the provider has charged under our id."""
        raise NotImplementedError

    async def refunds(self, our_id: Id) -> list[int]:
        raise NotImplementedError

    async def intent(self, how: str, minor: int = 29_00) -> ChargeIntent:
        """Of a charge that nobody has sent yet."""
        method, customer = await self.method_of(how)
        return ChargeIntent(
            id=PaymentId.new(),
            amount=euros(minor),
            payment_method=method,
            customer=customer,
            requested_at=datetime.now(UTC),
        )

    async def charge(self, how: str, minor: int = 29_00) -> Outcome:
        return await self.gateway.charge(await self.intent(how, minor))


def back(charge: Outcome, minor: int = 29_00) -> RefundIntent:
    """Of a refund that nobody has sent yet."""
    return RefundIntent(
        id=REFUND.new(), charge=charge.reference, amount=euros(minor), requested_at=datetime.now(UTC)
    )


class GatewayContract:
    async def test_a_charge_that_was_not_sent_is_not_known(self, provider: Behaviour) -> None:
        assert await provider.gateway.find_charge(await provider.intent(provider.ok)) is None

    async def test_a_refund_that_was_not_sent_is_not_known(self, provider: Behaviour) -> None:
        charge = await provider.charge(provider.ok)

        assert await provider.gateway.find_refund(back(charge)) is None

    async def test_a_charge_succeeds_and_is_found_again(self, provider: Behaviour) -> None:
        intent = await provider.intent(provider.ok)
        outcome = await provider.gateway.charge(intent)

        assert outcome.status is Status.SUCCEEDED
        assert outcome.failure_code is None
        assert await provider.gateway.find_charge(intent) == outcome

    async def test_the_same_id_is_the_same_charge(self, provider: Behaviour) -> None:
        intent = await provider.intent(provider.ok)
        outcomes = [await provider.gateway.charge(intent) for _ in range(3)]

        assert outcomes == outcomes[:1] * 3
        assert await provider.charges(intent.id) == [29_00]

    async def test_another_charge_of_the_customer_is_not_taken_for_it(self, provider: Behaviour) -> None:
        intent = await provider.intent(provider.ok)
        await provider.charge(provider.ok)

        assert await provider.gateway.find_charge(intent) is None

    async def test_a_declined_charge_says_why_and_stays_declined(self, provider: Behaviour) -> None:
        intent = await provider.intent(provider.declined)
        outcome = await provider.gateway.charge(intent)

        assert outcome.status is Status.FAILED
        assert outcome.failure_code
        assert await provider.gateway.find_charge(intent) == outcome

    async def test_a_charge_whose_answer_was_lost_is_found(self, provider: Behaviour) -> None:
        intent = await provider.intent(provider.timeout)
        with pytest.raises(GatewayTimeout):
            await provider.gateway.charge(intent)

        found = await provider.gateway.find_charge(intent)
        assert found is not None
        assert found.status is Status.SUCCEEDED
        assert await provider.charges(intent.id) == [29_00]

    async def test_a_late_charge_is_pending_until_it_is_decided(self, provider: Behaviour) -> None:
        intent = await provider.intent(provider.late)
        outcome = await provider.gateway.charge(intent)
        assert outcome.status is Status.PENDING
        assert await provider.gateway.find_charge(intent) == outcome

        await provider.decide(intent.id)
        found = await provider.gateway.find_charge(intent)
        assert found is not None
        assert (found.status, found.reference) == (Status.SUCCEEDED, outcome.reference)

    async def test_a_refund_succeeds_and_is_found_again(self, provider: Behaviour) -> None:
        refund = back(await provider.charge(provider.ok), 10_00)
        outcome = await provider.gateway.refund(refund)

        assert outcome.status is Status.SUCCEEDED
        assert await provider.gateway.find_refund(refund) == outcome

    async def test_the_same_id_is_the_same_refund(self, provider: Behaviour) -> None:
        refund = back(await provider.charge(provider.ok))
        outcomes = [await provider.gateway.refund(refund) for _ in range(3)]

        assert outcomes == outcomes[:1] * 3
        assert await provider.refunds(refund.id) == [29_00]

    async def test_another_refund_of_the_charge_is_not_taken_for_it(self, provider: Behaviour) -> None:
        charge = await provider.charge(provider.ok)
        await provider.gateway.refund(back(charge, 10_00))

        assert await provider.gateway.find_refund(back(charge, 10_00)) is None

    async def test_a_charge_is_given_back_in_parts_and_not_beyond_itself(self, provider: Behaviour) -> None:
        charge = await provider.charge(provider.ok)
        parts = [await provider.gateway.refund(back(charge, minor)) for minor in (20_00, 9_00, 1)]

        assert [part.status for part in parts] == [Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED]

    async def test_a_refund_whose_answer_was_lost_is_found(self, provider: Behaviour) -> None:
        refund = back(await provider.charge(provider.refund_timeout))
        with pytest.raises(GatewayTimeout):
            await provider.gateway.refund(refund)

        found = await provider.gateway.find_refund(refund)
        assert found is not None
        assert found.status is Status.SUCCEEDED
        assert await provider.refunds(refund.id) == [29_00]

    async def test_a_declined_refund_says_why(self, provider: Behaviour) -> None:
        charge = await provider.charge(provider.refund_declined)
        outcome = await provider.gateway.refund(back(charge))

        assert outcome.status is Status.FAILED
        assert outcome.failure_code

    async def test_a_late_refund_is_pending_until_it_is_decided(self, provider: Behaviour) -> None:
        refund = back(await provider.charge(provider.refund_late))
        outcome = await provider.gateway.refund(refund)
        assert outcome.status is Status.PENDING

        await provider.decide(refund.id)
        found = await provider.gateway.find_refund(refund)
        assert found is not None
        assert found.status is Status.SUCCEEDED

    async def test_a_charge_that_failed_has_nothing_to_give_back(self, provider: Behaviour) -> None:
        charge = await provider.charge(provider.declined)
        outcome = await provider.gateway.refund(back(charge, 1))

        assert outcome.status is Status.FAILED
