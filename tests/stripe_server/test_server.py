"""The server remembers, forgets after a day, and misbehaves on order: tests that use it rely on it."""

import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import httpx
import pytest

from tests.stripe_server import Account, Card, Fault, StripeServer, sign
from tests.stripe_server.shapes import Object

KEY = "sk_test_server"


@pytest.fixture
def server() -> StripeServer:
    return StripeServer()


@pytest.fixture
def account(server: StripeServer) -> Account:
    return server.account(KEY)


@pytest.fixture
def customer(account: Account) -> str:
    return str(account.create_customer({})["id"])


@pytest.fixture
async def client(server: StripeServer) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(
        transport=server.transport(), base_url="http://stripe", headers=headers
    ) as client:
        yield client


def a_charge(account: Account, customer: str, card: Card = Card.OK, amount: int = 29_00) -> dict[str, str]:
    return {
        "amount": str(amount),
        "currency": "eur",
        "customer": customer,
        "payment_method": account.save_method(customer, card),
        "confirm": "true",
        "automatic_payment_methods[enabled]": "true",
        "automatic_payment_methods[allow_redirects]": "never",
    }


def intents(account: Account) -> list[Object]:
    return list(account.of_kind("payment_intent"))


async def post(
    client: httpx.AsyncClient, sent: dict[str, str], key: str = "", path: str = "/v1/payment_intents"
) -> httpx.Response:
    return await client.post(path, data=sent, headers={"idempotency-key": key})


async def test_a_key_it_does_not_know_is_let_in_nowhere(client: httpx.AsyncClient, account: Account) -> None:
    answer = await client.get("/v1/account", headers={"authorization": "Bearer sk_test_other"})

    assert answer.status_code == 401
    assert (await client.get("/v1/account")).json()["id"] == account.shape["id"]


async def test_the_same_key_is_the_same_answer_for_a_day(
    client: httpx.AsyncClient, account: Account, customer: str
) -> None:
    sent = a_charge(account, customer)
    first = await post(client, sent, "pay_1")
    account.forward(hours=23)

    assert (await post(client, sent, "pay_1")).json() == first.json()
    assert len(intents(account)) == 1

    account.forward(hours=2)
    assert (await post(client, sent, "pay_1")).json()["id"] != first.json()["id"]
    assert len(intents(account)) == 2


async def test_a_key_with_another_body_is_refused(
    client: httpx.AsyncClient, account: Account, customer: str
) -> None:
    sent = a_charge(account, customer)
    await post(client, sent, "pay_1")
    answer = await post(client, {**sent, "amount": "1000"}, "pay_1")

    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "idempotency_error"


async def test_a_decline_is_kept_and_a_refusal_of_the_form_is_not(
    client: httpx.AsyncClient, account: Account, customer: str
) -> None:
    declined = a_charge(account, customer, Card.DECLINED)
    answers = [await post(client, declined, "pay_1") for _ in range(2)]
    assert [answer.status_code for answer in answers] == [402, 402]
    assert len(intents(account)) == 1

    sent = a_charge(account, customer)
    assert (await post(client, {**sent, "amount": "nothing"}, "pay_2")).status_code == 400
    assert (await post(client, sent, "pay_2")).status_code == 200


@pytest.mark.parametrize(
    ("fault", "status", "made"),
    [
        (Fault.BROKEN_AFTER, 500, 1),
        (Fault.BROKEN_BEFORE, 500, 0),
        (Fault.BUSY, 429, 0),
        (Fault.IN_USE, 409, 0),
    ],
)
async def test_a_fault_that_is_answered(
    server: StripeServer,
    client: httpx.AsyncClient,
    account: Account,
    customer: str,
    fault: Fault,
    status: int,
    made: int,
) -> None:
    server.ordered.append(fault)
    sent = a_charge(account, customer)

    assert (await post(client, sent, "pay_1")).status_code == status
    assert len(intents(account)) == made

    again = await post(client, sent, "pay_1")
    assert again.status_code == (500 if status == 500 else 200), "a 500 is kept as any answer is"


@pytest.mark.parametrize(("fault", "made"), [(Fault.LOST, 1), (Fault.DROPPED, 0)])
async def test_a_fault_that_is_not_answered(
    server: StripeServer, client: httpx.AsyncClient, account: Account, customer: str, fault: Fault, made: int
) -> None:
    server.ordered.append(fault)
    sent = a_charge(account, customer)
    with pytest.raises(httpx.ReadTimeout):
        await post(client, sent, "pay_1")
    assert len(intents(account)) == made

    assert (await post(client, sent, "pay_1")).status_code == 200
    assert len(intents(account)) == 1


async def test_on_a_loopback_port_a_lost_answer_is_waited_for_in_vain(
    server: StripeServer, account: Account, customer: str
) -> None:
    server.ordered.append(Fault.LOST)
    sent = a_charge(account, customer)
    headers = {"authorization": f"Bearer {KEY}"}
    async with (
        server.listening() as url,
        httpx.AsyncClient(base_url=url, headers=headers, timeout=0.5) as client,
    ):
        with pytest.raises(httpx.ReadTimeout):
            await post(client, sent, "pay_1")
        assert (await post(client, sent, "pay_1")).json()["id"] == intents(account)[0]["id"]


async def test_a_list_is_read_page_by_page_newest_first(
    client: httpx.AsyncClient, account: Account, customer: str
) -> None:
    for minor in range(100, 105):
        await post(client, a_charge(account, customer, amount=minor))
    await post(client, a_charge(account, str(account.create_customer({})["id"])))

    read: list[int] = []
    after: dict[str, str] = {}
    while True:
        page = (
            await client.get("/v1/payment_intents", params={"customer": customer, "limit": 2, **after})
        ).json()
        read += [each["amount"] for each in page["data"]]
        if not page["has_more"]:
            break
        after = {"starting_after": page["data"][-1]["id"]}

    assert read == [104, 103, 102, 101, 100]


async def test_what_is_older_is_not_listed(
    client: httpx.AsyncClient, account: Account, customer: str
) -> None:
    await post(client, a_charge(account, customer))
    account.forward(hours=1)
    since = str(int(account.now.timestamp()) - 60)
    page = (await client.get("/v1/payment_intents", params={"created[gte]": since})).json()

    assert page["data"] == []


async def test_nothing_is_searched(client: httpx.AsyncClient, account: Account) -> None:
    assert (await client.get("/v1/payment_intents/search")).status_code == 400


async def test_no_more_is_given_back_than_was_paid(
    client: httpx.AsyncClient, account: Account, customer: str
) -> None:
    intent = (await post(client, a_charge(account, customer))).json()["id"]
    back = [
        await post(client, {"payment_intent": intent, "amount": minor}, path="/v1/refunds")
        for minor in ("2000", "1000", "900", "1")
    ]

    assert [answer.status_code for answer in back] == [200, 400, 200, 400]
    assert back[-1].json()["error"]["code"] == "charge_already_refunded"


async def test_a_refund_that_bounces_can_be_made_again(account: Account, customer: str) -> None:
    intent = account.charge_in_dashboard(customer, 29_00)["id"]
    refund = account.refund_in_dashboard(intent)
    account.decide_refund(refund["id"], succeeded=False)

    assert refund["status"] == "failed"
    assert account.refund_in_dashboard(intent)["status"] == "succeeded"


async def test_the_page_of_a_checkout_saves_a_method(account: Account, customer: str) -> None:
    session = account.create_checkout_session(
        {"mode": "setup", "customer": customer, "currency": "eur", "success_url": "https://example.com"}
    )
    method = account.complete_checkout(session["id"], fingerprint="fp_1")

    assert session["status"] == "complete"
    assert account.find(session["setup_intent"])["payment_method"] == method
    assert account.find(method)["customer"] == customer


async def test_events_tell_what_happened_in_order(account: Account, customer: str) -> None:
    intent = account.charge_in_dashboard(customer, 29_00)["id"]
    account.close_dispute(account.dispute(intent)["id"], won=False)

    assert [event["type"] for event in account.events] == [
        "customer.created",
        "payment_method.attached",
        "payment_intent.created",
        "charge.succeeded",
        "payment_intent.succeeded",
        "charge.dispute.created",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.closed",
    ]


def test_a_payload_is_signed_with_its_time(server: StripeServer, account: Account) -> None:
    account.create_customer({"name": "Éloïse"})
    payload = server.payload(account.events[0])
    at = datetime(2026, 1, 15, 12, tzinfo=UTC)

    expected = hmac.new(b"whsec_1", b"1768478400." + payload, hashlib.sha256).hexdigest()
    assert sign(payload, "whsec_1", at) == f"t=1768478400,v1={expected}"
    assert json.loads(payload) == account.events[0]


async def test_faults_by_chance_are_the_same_with_the_same_seed(account: Account, customer: str) -> None:
    counts = []
    for _ in range(2):
        server = StripeServer(seed=7)
        account = server.account(KEY)
        customer = account.create_customer({})["id"]
        server.chance = {Fault.LOST: 0.2, Fault.BUSY: 0.1}
        headers = {"authorization": f"Bearer {KEY}"}
        async with httpx.AsyncClient(
            transport=server.transport(), base_url="http://stripe", headers=headers
        ) as client:
            for _ in range(300):
                try:
                    await post(client, a_charge(account, customer))
                except httpx.ReadTimeout:
                    continue
        counts.append(dict(server.misbehaved))

    assert counts[0] == counts[1]
    assert 40 <= counts[0][Fault.LOST] <= 80
