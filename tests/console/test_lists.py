"""What the API did, to read: customers, subscriptions, invoices, credit notes, mails."""

from html.parser import HTMLParser
from typing import Any

import pytest
from markupsafe import escape

from api import clock
from api.access.create_tenant import Opened, create_tenant
from api.access.model import Tenant
from api.console.here import NAVIGATION
from api.demo.seller import furnish
from billing.parties import store as parties
from billing.parties.model import CustomerId, Language
from kernel.database import Tx, transaction
from kernel.ids import EventId
from kernel.paging import Window
from kernel.text import Email
from notifications import store as mails
from notifications.model import Kind, Mail, MailId, Status
from tests.console.browser import Browser, Office, secret_of

SECTIONS = [section.path for group in NAVIGATION for section in group.sections]
PAYLOADS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "'><svg onload=alert(1)>",
    "{{ 7 * 7 }}{% raw %}",
    '<a href="javascript:alert(1)">x</a>',
    "</td><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</pre><script>alert(1)</script>",
    '<iframe srcdoc="<script>alert(1)</script>">',
    "<svg><animate onbegin=alert(1) attributeName=x>",
    '<math href="javascript:alert(1)">CLICK',
    "<details open ontoggle=alert(1)>",
    "<form action=//evil.example><button>x",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content=0;url=//evil.example>",
    "<link rel=stylesheet href=//evil.example>",
    '" autofocus onfocus=alert(1) x="',
    "' hx-get='/console' hx-trigger='load",
    '<!--<img src="--><img src=x onerror=alert(1)//">',
]
PLAIN = [f"Plain name {n}" for n in range(20)]


class Tags(HTMLParser):
    """What a page is made of: each element with the names of its attributes, and nothing of its text."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, list[str]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, [name for name, _ in attrs]))


def tags_of(page: str) -> list[tuple[str, list[str]]]:
    parser = Tags()
    parser.feed(page)
    return parser.found


class House:
    """An account, its admin, and a test tenant in which everything is called by the names given."""

    def __init__(self, office: Office, admin: Browser, tenant: Tenant) -> None:
        self.office = office
        self.admin = admin
        self.tenant = tenant
        self.path = f"/console/{tenant.id}"
        self.key = ""

    @classmethod
    async def called(cls, office: Office, names: list[str]) -> "House":
        async with office.pool.acquire() as conn, conn.transaction():
            tenant = (await create_tenant(conn, names[0], now=clock.now())).test
        house = cls(office, await office.admin(tenant.account_id), tenant)
        async with transaction(office.pool, tenant.id, now=clock.now()) as tx:
            await furnish(tx)
        for number, name in enumerate(names):
            await house.fill(number, name)
        return house

    async def fill(self, number: int, name: str) -> None:
        made = await self.admin.post(f"{self.path}/keys/new", name=name, task="everything", life="")
        self.key = secret_of(made.text)
        plan = {
            "reference": f"plan:{number}",
            "name": name,
            "interval": {"unit": "month"},
            "prices": [{"currency": "EUR", "unit_price": "29.00"}],
        }
        await self.call("plans", plan)
        signup = await self.call("signups", {"customer": a_customer(number, name), "plan": plan["reference"]})
        await self.call(f"subscriptions/{signup['subscription']['id']}/cancel", {"refund": "none"})
        invoice = await self.call("draft_invoices", a_draft(number, name))
        issued = await self.call(f"draft_invoices/{invoice['id']}/issue", {})
        await self.call(
            f"invoices/{issued['id']}/credit_notes",
            {"reason": "other", "reason_text": name, "refund": "none"},
        )
        alone = {**a_draft(number, name), "reason": "other", "reason_text": name}
        note = (await self.call("credit_notes", alone))["credit_note"]
        if number % 2:
            await self.call(f"credit_notes/{note['id']}/attach", {"invoices": [issued["id"]]})
        async with transaction(self.office.pool, self.tenant.id, now=clock.now()) as tx:
            customer = (await parties.customers(tx, Window(limit=1))).data[0]
            await mails.insert(tx, a_mail(tx, customer.id, name))

    async def call(self, path: str, body: dict[str, Any]) -> Any:
        answer = await self.admin.http.post(
            f"/v1/{path}", json=body, headers={"authorization": f"Bearer {self.key}"}
        )
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    async def page(self, path: str) -> str:
        answer = await self.admin.get(f"{self.path}/{path}")
        assert answer.status_code == 200, answer.text
        return answer.text


def a_customer(number: int, name: str) -> dict[str, object]:
    address = {"line1": "5 quai Voltaire", "postal_code": "75007", "city": name, "country": "FR"}
    reference = f"user:javascript:alert.{number}"
    return {"reference": reference, "name": name, "email": f"u{number}@example.com", "address": address}


def a_draft(number: int, name: str) -> dict[str, object]:
    lines = [{"description": name, "unit_price": "10.00"}]
    return {"customer": f"user:javascript:alert.{number}", "currency": "EUR", "lines": lines}


def a_mail(tx: Tx, customer_id: CustomerId, words: str) -> Mail:
    return Mail(
        id=MailId.new(),
        event_id=EventId.new(),
        kind=Kind.INVOICE_ISSUED,
        language=Language.ENGLISH,
        customer_id=customer_id,
        document_id=EventId.new().uuid,
        sender=words,
        recipient=Email("zoe@example.com"),
        subject=words,
        body=words,
        status=Status.REFUSED,
        message_id="x",
        refusal=words,
        created_at=tx.now,
        sent_at=None,
    )


@pytest.fixture(scope="module")
async def plain(office_of_module: Office) -> House:
    return await House.called(office_of_module, PLAIN)


@pytest.fixture(scope="module")
async def hostile(office_of_module: Office) -> House:
    return await House.called(office_of_module, PAYLOADS)


@pytest.mark.parametrize("section", SECTIONS)
async def test_names_are_text_whatever_they_say(plain: House, hostile: House, section: str) -> None:
    """A page of hostile names has the elements and attributes of a page of plain ones, and no other."""
    calm, hurt = await plain.page(f"{section}?limit=100"), await hostile.page(f"{section}?limit=100")

    assert "Plain name 19" in calm
    assert tags_of(hurt) == tags_of(calm)
    assert "49{%" not in hurt


async def test_a_page_about_one_thing_is_text_as_well(plain: House, hostile: House) -> None:
    for section in ("mails", "keys"):
        for number in range(len(PAYLOADS)):
            one = [await one_of(house, section, number) for house in (plain, hostile)]
            assert tags_of(one[1]) == tags_of(one[0])
    assert tags_of(await hostile.page("keys/new")) == tags_of(await plain.page("keys/new"))
    fronts = [(await house.admin.get("/console")).text for house in (plain, hostile)]
    assert tags_of(fronts[1]) == tags_of(fronts[0])


async def test_what_was_typed_comes_back_as_text(plain: House, hostile: House) -> None:
    new = f"{plain.path}/keys/new"
    calm = await plain.admin.post(new, name="Plain", task="", life="")
    for payload in PAYLOADS:
        hurt = await plain.admin.post(new, name=payload, task="", life="")
        assert hurt.status_code == 422
        assert tags_of(hurt.text) == tags_of(calm.text)
        assert f'value="{escape(payload)}"' in hurt.text

    calm = await plain.office.browser().post("/console/sign-in", email="plain", password="wrong")
    for payload in PAYLOADS[:10]:
        hurt = await hostile.office.browser().post("/console/sign-in", email=payload, password="wrong")
        assert hurt.status_code in (403, 429)
        assert tags_of(hurt.text) == tags_of(calm.text)


async def one_of(house: House, section: str, number: int) -> str:
    listed = await house.page(f"{section}?limit=100")
    start = f'<th scope="row"><a href="{house.path}/{section}/'
    return await house.page(f"{section}/{listed.split(start)[number + 1].split(chr(34))[0]}")


# ── what they show ───────────────────────────────────────────────────────────────────────────────


async def test_the_lists_show_what_happened(plain: House) -> None:
    customers = await plain.page("customers")
    assert "user:javascript:alert.19" in customers
    assert "u19@example.com" in customers
    subscriptions = await plain.page("subscriptions")
    assert "Cancelled" in subscriptions
    invoices = await plain.page("invoices")
    assert "€34.80" in invoices
    assert "€12.00" in invoices
    notes = await plain.page("credit_notes")
    assert "Other" in notes
    assert '<code class="number">–</code>' in await plain.page("credit_notes?limit=100")
    assert "€12.00" in notes


async def test_the_newest_come_first_and_the_rest_page_by_page(plain: House) -> None:
    path, seen = "customers?limit=7", []
    while True:
        page = await plain.page(path)
        seen += [int(row.split("<")[0]) for row in page.split('scope="row">Plain name ')[1:]]
        if "?cursor=" not in page:
            break
        path = f"customers?limit=7&cursor={page.split('?cursor=')[1].split(chr(34))[0]}"
    assert seen == list(range(19, -1, -1))


@pytest.mark.parametrize("section", ["invoices", "credit_notes"])
async def test_a_document_opens_as_its_pdf(plain: House, hostile: House, section: str) -> None:
    path = (await plain.page(section)).split(f"{plain.path}/{section}/")[1].split('"')[0]
    opened = await plain.admin.get(f"{plain.path}/{section}/{path}")

    assert opened.headers["content-type"] == "application/pdf"
    assert opened.headers["content-disposition"].startswith("inline; filename=")
    assert opened.content.startswith(b"%PDF-")
    assert (await hostile.admin.get(f"{plain.path}/{section}/{path}")).status_code == 404
    assert (await hostile.admin.get(f"{hostile.path}/{section}/{path}")).status_code == 404
    assert (await plain.office.browser().get(f"{plain.path}/{section}/{path}")).status_code == 303


@pytest.mark.parametrize("section", SECTIONS)
async def test_an_empty_list_says_what_to_do(admin: Browser, opened: Opened, section: str) -> None:
    shown = (await admin.get(f"/console/{opened.test.id}/{section}")).text
    assert 'class="empty"' in shown
    if section != "mails":
        assert "curl http://test/v1/" in shown


async def test_live_and_test_look_different(admin: Browser, opened: Opened) -> None:
    test = (await admin.get(f"/console/{opened.test.id}/keys")).text
    live = (await admin.get(f"/console/{opened.live.id}/keys")).text
    assert ('<body class="tenant test">' in test, "<strong>Test mode</strong>" in test) == (True, True)
    assert ('<body class="tenant live">' in live, "<strong>Live</strong>" in live) == (True, True)
    assert f'href="/console/{opened.live.id}/keys"' in test


async def test_the_front_offers_every_product_in_both_modes(admin: Browser, opened: Opened) -> None:
    front = (await admin.get("/console")).text
    assert f'href="/console/{opened.test.id}"' in front
    assert f'href="/console/{opened.live.id}"' in front
