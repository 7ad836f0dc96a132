"""The console in a real browser, against a server as `make up` starts it.

CONSOLE_PICTURES=folder keeps a picture of each page, light and dark, wide and narrow: look at them.
"""

import asyncio
import os
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import msgspec
import pytest
from playwright.async_api import (
    Browser,
    BrowserContext,
    ConsoleMessage,
    Page,
    async_playwright,
    expect,
)

from api import clock, serve
from api.access.create_tenant import Opened
from api.settings import Settings
from api.stack.embedded import free_port
from billing.parties.add_customer import add_customer
from billing.parties.model import Customer, NewCustomer
from kernel.database import Pool, Tx, transaction
from kernel.text import Email, Name, Reference
from notifications import store as mails
from tests import shop
from tests.console.browser import PASSWORD, Office, a_name
from tests.console.test_lists import PAYLOADS, a_mail
from tests.makers import an_address

CHROMIUM = Path("/usr/bin/chromium")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, NARROW = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
PICTURES = os.environ.get("CONSOLE_PICTURES")

pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists(), reason=f"NO BROWSER at {CHROMIUM}: nobody has seen the console (see bin/browser)"
)


class Served(msgspec.Struct, frozen=True):
    """The console of a server of its own, on the database of the fixtures."""

    settings: Settings
    log: Path

    @property
    def url(self) -> str:
        return self.settings.base_url


@pytest.fixture(scope="module")
def served(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    port = free_port()
    own = msgspec.structs.replace(settings, base_url=f"http://127.0.0.1:{port}")
    log = tmp_path_factory.mktemp("served") / "api.log"
    with log.open("w") as output:
        server = subprocess.Popen(
            serve.api(host="127.0.0.1", port=port),
            env={
                "PATH": os.environ["PATH"],
                "DATABASE_URL": own.database_url,
                "REDIS_URL": own.redis_url,
                "SECRET_KEY": own.secret_key.hex(),
                "BASE_URL": own.base_url,
            },
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        _wait_until_ready(own.base_url)
        yield Served(own, log)
    finally:
        server.terminate()
        server.wait(20)


def _wait_until_ready(url: str) -> None:
    with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as client:
        assert client.get(f"{url}/readyz").status_code == 200


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        yield browser
        await browser.close()


@pytest.fixture
async def context(chromium: Browser, served: Served) -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context(base_url=served.url, viewport=WIDE)  # type: ignore[arg-type]
    context.set_default_timeout(15_000)
    yield context
    await context.close()


@pytest.fixture
async def page(context: BrowserContext) -> AsyncIterator[Page]:
    """A page that must not complain: no script of ours fails, no policy is broken."""
    page = await context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.extend(_errors_of(message)))
    page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
    yield page
    assert [line for line in complaints if "status of 40" not in line] == []


def _errors_of(message: ConsoleMessage) -> list[str]:
    return [message.text] if message.type == "error" else []


@pytest.fixture
def desk(pool: Pool, served: Served, app: object) -> Office:
    return Office(pool, served.settings, app)  # type: ignore[arg-type]


@pytest.fixture
async def signed_in(page: Page, desk: Office, opened: Opened) -> Page:
    """An admin of the account, by their first link."""
    await page.goto(await desk.link(a_name(), opened.account_id))
    await page.fill("#password", PASSWORD)
    await page.fill("#repeated", PASSWORD)
    await page.click("text=Set password and sign in")
    await page.wait_for_url("**/console")
    return page


@pytest.fixture
async def filled(pool: Pool, opened: Opened) -> Opened:
    """Hostile names, a document of each kind, and a mail."""
    async with transaction(pool, opened.test.id, now=clock.now()) as tx:
        customer = await shop.a_shop(tx)
        await shop.an_issued_credit_note(tx, await shop.an_issued_invoice(tx, customer))
        for number, payload in enumerate(PAYLOADS):
            hostile = await a_hostile_customer(tx, number, payload)
            await shop.an_issued_invoice(tx, hostile)
            await mails.insert(tx, a_mail(tx, hostile.id, payload))
    return opened


async def a_hostile_customer(tx: Tx, number: int, payload: str) -> Customer:
    new = NewCustomer(
        reference=Reference(f"javascript:alert.{number}"),
        name=Name(payload),
        email=Email(f"u{number}@example.com"),
        address=an_address(),
    )
    return await add_customer(tx, new)


# ── the story ────────────────────────────────────────────────────────────────────────────────────


async def test_from_the_first_link_to_a_key_that_is_revoked(
    page: Page, desk: Office, opened: Opened, served: Served
) -> None:
    email = a_name()
    link = await desk.link(email, opened.account_id)
    await page.goto(link)
    await page.fill("#password", PASSWORD)
    await page.fill("#repeated", PASSWORD)
    await page.click("text=Set password and sign in")
    await page.click("text=Test mode of Acme")
    await expect(page.locator("h1")).to_have_text("API keys")

    first = await make_a_key(page, "Backend, production")
    assert await status_of(served, first) == 200
    await page.click("text=I have put it away safely")

    await page.click("tbody >> text=Backend, production")
    await page.select_option("#overlap", "3600")
    await page.click("button:text('Rotate')")
    second = await secret_on(page)
    assert [await status_of(served, key) for key in (first, second)] == [200, 200]

    await page.goto(f"/console/{opened.test.id}/keys")
    await page.locator("tbody >> text=Backend, production").first.click()
    await page.select_option("#overlap", "0")
    await page.click("button:text('Rotate')")
    third = await secret_on(page)
    assert [await status_of(served, key) for key in (first, second, third)] == [200, 401, 200]

    await page.goto(f"/console/{opened.test.id}/keys")
    for _ in range(2):
        await page.locator("td.acts >> text=Revoke").first.click()
        await expect(page.locator("dialog")).to_be_visible()
        await expect(page.locator("dialog >> text=Keep it")).to_be_focused()
        await page.click("dialog >> text=Revoke the key")
        await page.wait_for_url("**/keys")
    async with asyncio.timeout(1):
        while [await status_of(served, key) for key in (first, second, third)] != [401, 401, 401]:
            await asyncio.sleep(0.05)

    said = served.log.read_text()
    assert "/console/{tenant_id}/keys/new" in said
    cookies = [cookie["value"] for cookie in await page.context.cookies()]
    for secret in (link.rpartition("/")[2], PASSWORD, email, first, second, third, *cookies):
        assert secret not in said, "a log holds no secret"


async def make_a_key(page: Page, name: str) -> str:
    await page.locator("main >> text=/New key|Make the first key/").first.click()
    await page.fill("#name", name)
    await page.check("text=A backend that signs people up")
    await page.click("text=Make the key")
    return await secret_on(page)


async def secret_on(page: Page) -> str:
    secret = await page.text_content("#secret")
    assert secret is not None
    assert re.fullmatch(r"rk_test_\w{50}", secret)
    return secret


async def status_of(served: Served, secret: str) -> int:
    async with httpx.AsyncClient(base_url=served.url) as client:
        answer = await client.get("/v1/customers", headers={"authorization": f"Bearer {secret}"})
        return answer.status_code


async def test_the_copy_button_copies_the_key(
    signed_in: Page, context: BrowserContext, opened: Opened
) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    await signed_in.goto(f"/console/{opened.test.id}/keys")
    secret = await make_a_key(signed_in, "Copied")
    await signed_in.click("button:text('Copy')")
    await expect(signed_in.locator("#copied")).to_have_text("Copied.")
    assert await signed_in.evaluate("navigator.clipboard.readText()") == secret


async def test_everything_works_without_scripts(
    chromium: Browser, served: Served, desk: Office, opened: Opened
) -> None:
    context = await chromium.new_context(base_url=served.url, java_script_enabled=False)
    page = await context.new_page()
    await page.goto(await desk.link(a_name(), opened.account_id))
    await page.fill("#password", PASSWORD)
    await page.fill("#repeated", PASSWORD)
    await page.click("text=Set password and sign in")
    await page.click("text=Test mode of Acme")
    secret = await make_a_key(page, "No script")
    assert await page.locator("button:text('Copy')").count() == 1
    await expect(page.locator("button:text('Copy')")).to_be_hidden()
    await page.goto(f"/console/{opened.test.id}/keys")
    await page.click("td.acts >> text=Revoke")
    await page.click("text=Revoke the key")
    await page.wait_for_url("**/keys")
    assert await status_of(served, secret) == 401
    await page.click(".side >> button:text('Sign out')")
    await page.wait_for_url("**/sign-in")
    await context.close()


async def test_the_keyboard_is_enough(signed_in: Page, opened: Opened, served: Served) -> None:
    page = signed_in
    await page.goto(f"/console/{opened.test.id}/keys")
    await page.keyboard.press("Tab")
    await expect(page.locator(".skip")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.keyboard.press("Tab")
    await expect(page.locator("main .head .button")).to_be_focused()
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/keys/new")
    await expect(page.locator("#name")).to_be_focused()
    await page.keyboard.type("By keyboard")
    await page.keyboard.press("Tab")
    await page.keyboard.press("ArrowDown")
    await expect(page.locator("[value=read_only]")).to_be_checked()
    await page.keyboard.press("Enter")
    assert await status_of(served, await secret_on(page)) == 200

    await page.goto(f"/console/{opened.test.id}/keys")
    await page.focus("td.acts a.danger")
    await page.keyboard.press("Enter")
    await expect(page.locator("dialog")).to_be_visible()
    await page.keyboard.press("Escape")
    await expect(page.locator("dialog")).to_be_hidden()
    await expect(page.locator("td.acts a.danger")).to_be_focused()


async def test_a_second_click_does_not_lose_the_secret(
    signed_in: Page, opened: Opened, served: Served
) -> None:
    page = signed_in
    await page.goto(f"/console/{opened.test.id}/keys/new")
    await page.fill("#name", "Twice")
    await page.evaluate(
        "() => { window.sent = []; addEventListener('submit', (e) => { e.preventDefault(); sent.push(1) }) }"
    )
    for _ in range(2):
        await page.click("text=Make the key", force=True)
    assert await page.evaluate("sent.length") == 1
    await expect(page.locator("text=Make the key")).to_be_disabled()

    await page.reload()
    await page.fill("#name", "Twice")
    await page.dblclick("text=Make the key")
    assert await status_of(served, await secret_on(page)) == 200
    await page.go_back()
    await expect(page.locator("text=Make the key")).to_be_enabled()


# ── what must not be ─────────────────────────────────────────────────────────────────────────────


async def test_hostile_names_do_nothing_in_a_browser(signed_in: Page, filled: Opened) -> None:
    """The page fixture holds that no dialog opened and no policy was hit: the names are only text."""
    for section in ("customers", "invoices", "mails"):
        await signed_in.goto(f"/console/{filled.test.id}/{section}?limit=100")
        shown = await signed_in.inner_text("#rows")
        for payload in PAYLOADS:
            assert payload in shown


async def test_no_page_is_shown_in_a_frame(
    context: BrowserContext, signed_in: Page, served: Served, opened: Opened
) -> None:
    other = await context.new_page()
    await other.route(
        "http://evil.example/", lambda route: route.fulfill(body=FRAMING, content_type="text/html")
    )
    for path in ("/console", f"/console/{opened.test.id}/keys", "/console/sign-in"):
        await other.goto("http://evil.example/")
        await other.evaluate("url => document.querySelector('iframe').src = url", f"{served.url}{path}")
        await other.wait_for_timeout(300)
        frame = other.frames[1]
        assert "Ristourne" not in await frame.content()


FRAMING = "<!doctype html><title>x</title><iframe></iframe>"


async def test_a_form_of_another_site_does_nothing(
    context: BrowserContext, signed_in: Page, served: Served
) -> None:
    token = await signed_in.get_attribute("[name=csrf]", "value")
    form = (
        f"<form method=post action='{served.url}/console/sign-out-everywhere'>"
        f"<input name=csrf value='{token}'></form>"
    )
    other = await context.new_page()
    await other.route(
        "http://evil.example/", lambda route: route.fulfill(body=form, content_type="text/html")
    )
    await other.goto("http://evil.example/")
    async with other.expect_response("**/sign-out-everywhere") as answered:
        await other.evaluate("document.forms[0].submit()")
    assert (await answered.value).status == 403
    await signed_in.reload()
    await expect(signed_in.locator("h1")).to_have_text("Choose a product")


# ── how it looks ─────────────────────────────────────────────────────────────────────────────────


async def test_more_rows_come_below_without_leaving_the_page(signed_in: Page, filled: Opened) -> None:
    page = signed_in
    await page.goto(f"/console/{filled.test.id}/customers")
    await expect(page.locator("#rows > tr")).to_have_count(20)
    await page.evaluate("window.stayed = true")
    await page.click("text=Show more")
    await expect(page.locator("#rows > tr")).to_have_count(21)
    await expect(page.locator("text=Show more")).to_have_count(0)
    assert await page.evaluate("window.stayed") is True


async def test_a_document_opens_in_the_browser(signed_in: Page, filled: Opened) -> None:
    await signed_in.goto(f"/console/{filled.test.id}/invoices")
    path = await signed_in.get_attribute("td.acts a", "href")
    answer = await signed_in.request.get(str(path))
    assert (answer.status, answer.headers["content-type"]) == (200, "application/pdf")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW], ids=["wide", "narrow"])
async def test_every_page_fits(
    signed_in: Page, filled: Opened, scheme: str, size: dict[str, int], desk: Office
) -> None:
    page = signed_in
    await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")  # type: ignore[arg-type]
    await page.set_viewport_size(size)  # type: ignore[arg-type]
    keys = f"/console/{filled.test.id}/keys"
    await page.goto(f"{keys}/new")
    await looked_at(page, "new-key", scheme, size)
    await page.fill("#name", "Backend, production")
    await page.check("text=One by one")
    await looked_at(page, "new-key-one-by-one", scheme, size)
    await page.check("text=A backend that signs people up")
    await page.click("text=Make the key")
    await secret_on(page)
    await looked_at(page, "key-made", scheme, size)
    await page.goto(keys)
    await looked_at(page, "keys", scheme, size)
    await page.click("td.acts a.danger")
    await expect(page.locator("dialog")).to_be_visible()
    await looked_at(page, "revoke", scheme, size)
    await page.goto(keys)
    await page.click("tbody th a")
    await looked_at(page, "key", scheme, size)
    for section in ("customers", "subscriptions", "invoices", "credit_notes", "mails"):
        await page.goto(f"/console/{filled.test.id}/{section}")
        await looked_at(page, section, scheme, size)
    await page.click("tbody th a")
    await looked_at(page, "mail", scheme, size)
    for section in ("keys", "customers", "invoices", "credit_notes", "mails"):
        await page.goto(f"/console/{filled.live.id}/{section}")
        await looked_at(page, f"live-{section}", scheme, size)
    for path in ("", "/sessions", "/nowhere"):
        await page.goto(f"/console{path}")
        await looked_at(page, f"front{path.replace('/', '-')}", scheme, size)
    await page.goto(await desk.link(a_name(), filled.account_id))
    await looked_at(page, "invitation", scheme, size)
    await page.goto("/console/sign-in")
    await looked_at(page, "sign-in", scheme, size)


async def looked_at(page: Page, name: str, scheme: str, size: dict[str, int]) -> None:
    """Nothing sticks out to the side. A person looks at the rest."""
    wider = await page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wider <= 0, f"{page.url} is {wider} pixels too wide"
    if PICTURES:
        picture = Path(PICTURES) / f"{name}-{scheme}-{size['width']}.png"
        await page.screenshot(path=picture, full_page=True)
