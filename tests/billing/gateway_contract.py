"""What every gateway promises. The tests of a gateway subclass `GatewayContract` and say how it behaves."""

import pytest

from billing.gateways.model import Gateway, GatewayTimeout, Outcome, Status
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

    async def decide(self, our_id: Id) -> None:
        """What was pending is decided now."""
        raise NotImplementedError

    async def charges(self, our_id: Id) -> list[int]:
        """The minor amounts the provider has charged under our id."""
        raise NotImplementedError

    async def refunds(self, our_id: Id) -> list[int]:
        raise NotImplementedError

    async def charge(self, method: str, minor: int = 29_00) -> Outcome:
        return await self.gateway.charge(PaymentId.new(), euros(minor), method)


class GatewayContract:
    async def test_a_charge_that_was_not_sent_is_not_known(self, provider: Behaviour) -> None:
        assert await provider.gateway.find_charge(PaymentId.new()) is None
        assert await provider.gateway.find_refund(REFUND.new()) is None

    async def test_a_charge_succeeds_and_is_found_again(self, provider: Behaviour) -> None:
        our_id = PaymentId.new()
        outcome = await provider.gateway.charge(our_id, euros(29_00), provider.ok)

        assert outcome.status is Status.SUCCEEDED
        assert outcome.failure_code is None
        assert await provider.gateway.find_charge(our_id) == outcome

    async def test_the_same_id_is_the_same_charge(self, provider: Behaviour) -> None:
        our_id = PaymentId.new()
        outcomes = [await provider.gateway.charge(our_id, euros(29_00), provider.ok) for _ in range(3)]

        assert outcomes == outcomes[:1] * 3
        assert await provider.charges(our_id) == [29_00]

    async def test_a_declined_charge_says_why_and_stays_declined(self, provider: Behaviour) -> None:
        our_id = PaymentId.new()
        outcome = await provider.gateway.charge(our_id, euros(29_00), provider.declined)

        assert outcome.status is Status.FAILED
        assert outcome.failure_code
        assert await provider.gateway.find_charge(our_id) == outcome

    async def test_a_charge_whose_answer_was_lost_is_found(self, provider: Behaviour) -> None:
        our_id = PaymentId.new()
        with pytest.raises(GatewayTimeout):
            await provider.gateway.charge(our_id, euros(29_00), provider.timeout)

        found = await provider.gateway.find_charge(our_id)
        assert found is not None
        assert found.status is Status.SUCCEEDED
        assert await provider.charges(our_id) == [29_00]

    async def test_a_late_charge_is_pending_until_it_is_decided(self, provider: Behaviour) -> None:
        our_id = PaymentId.new()
        outcome = await provider.gateway.charge(our_id, euros(29_00), provider.late)
        assert outcome.status is Status.PENDING
        assert await provider.gateway.find_charge(our_id) == outcome

        await provider.decide(our_id)
        found = await provider.gateway.find_charge(our_id)
        assert found is not None
        assert (found.status, found.reference) == (Status.SUCCEEDED, outcome.reference)

    async def test_a_refund_succeeds_and_is_found_again(self, provider: Behaviour) -> None:
        charge = await provider.charge(provider.ok)
        our_id = REFUND.new()
        outcome = await provider.gateway.refund(our_id, charge.reference, euros(10_00))

        assert outcome.status is Status.SUCCEEDED
        assert await provider.gateway.find_refund(our_id) == outcome

    async def test_the_same_id_is_the_same_refund(self, provider: Behaviour) -> None:
        charge = await provider.charge(provider.ok)
        our_id = REFUND.new()
        outcomes = [await provider.gateway.refund(our_id, charge.reference, euros(29_00)) for _ in range(3)]

        assert outcomes == outcomes[:1] * 3
        assert await provider.refunds(our_id) == [29_00]

    async def test_a_charge_is_given_back_in_parts_and_not_beyond_itself(self, provider: Behaviour) -> None:
        charge = await provider.charge(provider.ok)
        parts = [
            await provider.gateway.refund(REFUND.new(), charge.reference, euros(minor))
            for minor in (20_00, 9_00, 1)
        ]

        assert [part.status for part in parts] == [Status.SUCCEEDED, Status.SUCCEEDED, Status.FAILED]

    async def test_a_refund_whose_answer_was_lost_is_found(self, provider: Behaviour) -> None:
        charge = await provider.charge(provider.refund_timeout)
        our_id = REFUND.new()
        with pytest.raises(GatewayTimeout):
            await provider.gateway.refund(our_id, charge.reference, euros(29_00))

        found = await provider.gateway.find_refund(our_id)
        assert found is not None
        assert found.status is Status.SUCCEEDED
        assert await provider.refunds(our_id) == [29_00]

    async def test_a_declined_refund_says_why(self, provider: Behaviour) -> None:
        charge = await provider.charge(provider.refund_declined)
        outcome = await provider.gateway.refund(REFUND.new(), charge.reference, euros(29_00))

        assert outcome.status is Status.FAILED
        assert outcome.failure_code

    async def test_a_late_refund_is_pending_until_it_is_decided(self, provider: Behaviour) -> None:
        charge = await provider.charge(provider.refund_late)
        our_id = REFUND.new()
        outcome = await provider.gateway.refund(our_id, charge.reference, euros(29_00))
        assert outcome.status is Status.PENDING

        await provider.decide(our_id)
        found = await provider.gateway.find_refund(our_id)
        assert found is not None
        assert found.status is Status.SUCCEEDED

    async def test_a_charge_that_failed_has_nothing_to_give_back(self, provider: Behaviour) -> None:
        charge = await provider.charge(provider.declined)
        outcome = await provider.gateway.refund(REFUND.new(), charge.reference, euros(1))

        assert outcome.status is Status.FAILED
