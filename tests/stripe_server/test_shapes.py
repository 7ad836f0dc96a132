"""Every object of the server has the fields that the SDK's types say, and no others."""

from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

import httpx
import pytest
import stripe

from tests.stripe_server import Account, Card, StripeServer
from tests.stripe_server.account import Refused
from tests.stripe_server.shapes import Object

KEY = "sk_test_shapes"
KINDS: dict[str, Any] = {
    "account": stripe.Account,
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "refund": stripe.Refund,
    "setup_intent": stripe.SetupIntent,
}


def wrong(kind: Any, value: Any, where: str) -> list[str]:
    """What a value has that its type does not, and the other way round."""
    if get_origin(kind) is Union:
        return _wrong_union(list(get_args(kind)), value, where)
    if get_origin(kind) is Literal:
        return [] if value in get_args(kind) else [f"{where}: {value!r} is no {get_args(kind)}"]
    if get_origin(kind) is list:
        (of,) = get_args(kind)
        return [each for at, item in enumerate(value) for each in wrong(of, item, f"{where}[{at}]")]
    if isinstance(kind, type) and kind.__module__ == "builtins":
        return [] if type(value) is kind else [f"{where}: {value!r} is no {kind.__name__}"]
    return _wrong_object(kind, value, where)


def _wrong_union(kinds: list[Any], value: Any, where: str) -> list[str]:
    if value is None:
        return [] if type(None) in kinds else [f"{where}: null"]
    literals = [each for each in kinds if get_origin(each) is Literal]
    if literals and isinstance(value, str):
        return wrong(literals[0], value, where)  # `or str` is only for what Stripe adds later
    tried = [wrong(each, value, where) for each in kinds if each is not type(None)]
    return min(tried, key=len)


def _wrong_object(kind: Any, value: Any, where: str) -> list[str]:
    if not isinstance(value, dict):
        return [f"{where}: {value!r} is no object"]
    if isinstance(kind, ForwardRef):
        expected, kind = kind.__forward_arg__, KINDS[value["object"]]
        if kind.__name__ != expected:
            return [f"{where}: {kind.__name__} is no {expected}"]
    if not _is_typed(kind):
        return []
    fields = {name: each for name, each in kind.__annotations__.items() if name != "OBJECT_NAME"}
    unknown = [f"{where}.{name} is not of {kind.__name__}" for name in value if name not in fields]
    missing = [
        f"{where}.{name} is missing"
        for name, each in fields.items()
        if name not in value and type(None) not in get_args(each)
    ]
    known = [name for name in value if name in fields]
    inside = [each for name in known for each in wrong(fields[name], value[name], f"{where}.{name}")]
    return unknown + missing + inside


def _is_typed(kind: Any) -> bool:
    """Metadata and the like have whatever fields they have."""
    return isinstance(kind, type) and kind.__name__ != "UntypedStripeObject"


def checked(answer: Object) -> None:
    kind = KINDS[answer["object"]]
    made = kind.construct_from(answer, KEY)
    assert made.id == answer["id"]
    assert wrong(kind, answer, answer["object"]) == []


@pytest.fixture
def server() -> StripeServer:
    return StripeServer()


@pytest.fixture
def account(server: StripeServer) -> Account:
    """Everything has happened in it."""
    account = server.account(KEY)
    customer = account.create_customer({"name": "Nuage Clair", "metadata": {"ristourne_id": "cus_1"}})["id"]
    session = account.create_checkout_session(
        {
            "mode": "setup",
            "customer": customer,
            "currency": "eur",
            "success_url": "https://example.com/thanks",
            "metadata": {"ristourne_id": "cus_1"},
        }
    )
    account.complete_checkout(session["id"])
    for card in Card:
        method = account.save_method(customer, card)
        sent = {
            "amount": "2900",
            "currency": "eur",
            "customer": customer,
            "payment_method": method,
            "confirm": "true",
            "automatic_payment_methods": {"allow_redirects": "never"},
        }
        try:
            intent = account.create_payment_intent(sent)
        except Refused as refused:
            checked(refused.body["error"]["payment_intent"])
            continue
        if intent["status"] == "processing":
            account.decide_charge(intent["id"], succeeded=False)
        elif intent["status"] == "succeeded":
            refund = account.create_refund({"payment_intent": intent["id"], "amount": "1000"})
            account.decide_refund(refund["id"], succeeded=card is Card.REFUND_PENDING)
            account.close_dispute(account.dispute(intent["id"], 900)["id"], won=card is Card.OK)
    return account


def test_every_object_has_the_fields_the_sdk_says(account: Account) -> None:
    checked(account.shape)
    for each in account.everything():
        checked(each)


def test_every_kind_of_object_was_looked_at(account: Account) -> None:
    seen = {each["object"] for each in account.everything()} | {account.shape["object"]}

    assert seen == KINDS.keys()


def test_an_event_shows_its_object_as_it_was_then(account: Account) -> None:
    for event in account.events:
        checked(event["data"]["object"])
    (created,) = [event for event in account.events if event["type"] == "customer.created"]
    account.find(created["data"]["object"]["id"])["name"] = "Nuage Sombre"

    assert created["data"]["object"]["name"] == "Nuage Clair"


async def test_what_is_expanded_has_the_fields_the_sdk_says(server: StripeServer, account: Account) -> None:
    async with httpx.AsyncClient(transport=server.transport(), base_url="http://stripe") as client:
        answer = await client.get(
            "/v1/payment_intents",
            params={"limit": 100, "expand[0]": "data.latest_charge", "expand[1]": "data.payment_method"},
            headers={"authorization": f"Bearer {KEY}"},
        )

    page = answer.json()
    assert any(isinstance(each["latest_charge"], dict) for each in page["data"])
    for each in page["data"]:
        checked(each)


def test_a_field_that_the_sdk_does_not_know_is_found_out(account: Account) -> None:
    refund = next(account.of_kind("refund"))

    assert wrong(stripe.Refund, {**refund, "sum": 1}, "refund") == ["refund.sum is not of Refund"]
    assert wrong(stripe.Refund, {**refund, "amount": "1"}, "refund") == ["refund.amount: '1' is no int"]
    assert len(wrong(stripe.Refund, {**refund, "reason": "bored"}, "refund")) == 1
    del refund["currency"]
    assert wrong(stripe.Refund, refund, "refund") == ["refund.currency is missing"]
