"""Who brings a customer gets something for it, once the newcomer has paid, and never for themselves."""

from typing import Any

import pytest

from api.house import House
from api.work import drain
from tests.flows.backend import Backend, Json, customer, legal_entity, plan, tax_rate, welcome
from tests.flows.conftest import OpenTenant, Time
from tests.makers import NOON

THANKS = {"conditions": {}, "duration": {"type": "once"}, "max_per_customer": 10}


@pytest.fixture
async def backend(open_tenant: OpenTenant, time: Time) -> Backend:
    """Half off for three months for who comes, half a month for who brings them: user-42, of Pro at 29.00."""
    time.at = NOON
    backend = await open_tenant()
    await backend.post("/v1/tax_rates", tax_rate("20"))
    await backend.post("/v1/legal_entities", legal_entity())
    await backend.post("/v1/plans", plan())
    await backend.post("/v1/offers", welcome("friend"))
    await backend.post("/v1/offers", welcome("thanks", **THANKS))
    await backend.post("/v1/customers", customer("user-42", payment_method="pm_sandbox_ok"))
    return backend


async def code_of(backend: Backend, reference: str = "user-42") -> str:
    body = {"offer": "friend", "referrer_offer": "thanks"}
    code: str = (await backend.post(f"/v1/customers/{reference}/referral_code", body))["code"]
    return code


async def comes(backend: Backend, reference: str, code: str | None = None, **more: Any) -> Json:
    """Their payment method works, so the first invoice is paid as soon as a worker comes by."""
    body = {
        "customer": {
            **customer(reference, payment_method="pm_sandbox_ok"),
            "email": f"{reference}@there.example",
            **more,
        },
        "plan": "pro",
        "coupons": [code] if code else [],
    }
    return await backend.post("/v1/signups", body)


async def told(backend: Backend, event_type: str) -> list[Json]:
    return [each["data"] for each in (await backend.get("/v1/events", type=event_type))["data"]]


async def rewards(backend: Backend) -> list[str]:
    """What user-42 has got, oldest first."""
    found = await backend.get("/v1/redemptions", customer_id="user-42", offer_id="thanks")
    return [each["status"] for each in reversed(found["data"])]


async def test_the_reward_comes_with_the_next_invoice_once_the_newcomer_has_paid(
    backend: Backend, house: House, time: Time
) -> None:
    referrer = await comes(backend, "user-42")
    code = await code_of(backend)
    assert await code_of(backend) == code
    newcomer = await comes(backend, "user-7", code)
    assert await rewards(backend) == []

    await drain(house)

    assert await rewards(backend) == ["redeemed"]
    (said,) = await told(backend, "referral.rewarded")
    assert said["newcomer_id"] == newcomer["customer"]["id"]
    time.forward(days=31)
    await drain(house)
    invoices = (await backend.get("/v1/invoices", customer_id="user-42"))["data"]
    assert [each["net"]["minor"] for each in invoices] == [14_50, 29_00]
    assert await rewards(backend) == ["exhausted"]
    assert (await told(backend, "referral.rewarded")) == [said]  # not for what the newcomer pays later
    assert referrer["customer"]["id"] == said["referrer_id"]


async def test_each_newcomer_is_rewarded_also_while_an_earlier_reward_runs(
    backend: Backend, house: House, time: Time
) -> None:
    await comes(backend, "user-42")
    code = await code_of(backend)
    for n in (7, 8):
        await comes(backend, f"user-{n}", code)
    await drain(house)
    assert await rewards(backend) == ["redeemed", "redeemed"]

    for _ in range(2):
        time.forward(days=31)
        await drain(house)
    invoices = (await backend.get("/v1/invoices", customer_id="user-42"))["data"]
    assert [each["net"]["minor"] for each in invoices] == [14_50, 14_50, 29_00]


async def test_who_has_no_subscription_has_the_reward_with_their_next(backend: Backend, house: House) -> None:
    await comes(backend, "user-7", await code_of(backend))
    await drain(house)
    assert await rewards(backend) == ["reserved"]

    signup = await comes(backend, "user-42")
    assert signup["invoice"]["net"]["minor"] == 14_50
    assert await rewards(backend) == ["exhausted"]


async def test_nobody_brings_themselves(backend: Backend, house: House) -> None:
    code = await code_of(backend)
    refused = {"customer": "user-42", "plan": "pro", "coupons": [code]}
    assert await backend.refused("/v1/subscriptions", refused) == (409, "coupon_invalid")

    await backend.patch("/v1/customers/user-42", {"email": "zoe.martin@gmail.com"})
    await comes(backend, "user-7", code, email="ZoeMartin+again@googlemail.com")
    await drain(house)

    assert await rewards(backend) == []
    (said,) = await told(backend, "referral.refused")
    assert said["code"] == "referrer_is_newcomer"


async def test_who_has_not_paid_brings_nothing(backend: Backend, house: House) -> None:
    await comes(backend, "user-7", await code_of(backend), payment_method="pm_sandbox_declined")
    await drain(house)
    assert await rewards(backend) == []


async def test_a_reward_that_cannot_be_had_is_told(backend: Backend, house: House) -> None:
    code = await code_of(backend)
    await backend.post("/v1/offers/thanks/archive")
    await comes(backend, "user-7", code)
    await drain(house)
    (said,) = await told(backend, "referral.refused")
    assert said["code"] == "offer_inactive"


async def test_what_a_referral_code_cannot_be(backend: Backend) -> None:
    await code_of(backend)
    path = "/v1/customers/user-42/referral_code"
    await backend.post(
        "/v1/offers", welcome("days", benefit={"type": "free_period", "days": 30}, duration={"type": "once"})
    )
    for reward, code in (("days", "referrer_offer_free_period"), ("friend", "referral_code_differs")):
        asked = {"offer": "friend", "referrer_offer": reward}
        assert (await backend.refused(path, asked))[1] == code
