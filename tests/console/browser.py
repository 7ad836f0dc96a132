"""A browser without a screen: it keeps cookies, says where its forms come from, and follows nothing."""

import re
import secrets
from html import unescape

import httpx
from litestar import Litestar

from api import clock
from api.access.model import AccountId
from api.console import links
from api.console.access.invite import invite_admin
from api.settings import Settings
from kernel.database import Pool
from kernel.text import Email

PASSWORD = "correct horse battery"
COOKIE = "ristourne-80"  # the settings of the tests say http://test
FORM = {"origin": "http://test", "sec-fetch-site": "same-origin"}


class Browser:
    def __init__(self, transport: httpx.AsyncBaseTransport, email: str = "") -> None:
        self.http = httpx.AsyncClient(transport=transport, base_url="http://test")
        self.email = email

    @property
    def cookie(self) -> str | None:
        return self.http.cookies.get(COOKIE)

    def plant(self, value: str) -> None:
        self.http.cookies.clear()
        self.http.cookies.set(COOKIE, value, domain="test.local", path="/")

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.http.get(path, headers=headers)

    async def post(self, path: str, *, page: str | None = None, **fields: str | list[str]) -> httpx.Response:
        """Open the page with the form, fill it in, send it."""
        shown = await self.get(page or path)
        hidden = {name: value for name, value in fields_of(shown.text).items() if name not in fields}
        return await self.send(path, {**hidden, **fields})

    async def send(self, path: str, fields: dict[str, str | list[str]], **headers: str) -> httpx.Response:
        """A form as it is, from wherever."""
        return await self.http.post(path, data=fields, headers={**FORM, **headers})

    async def token(self) -> str:
        return fields_of((await self.get("/console/sessions")).text)["csrf"]

    async def sign_in(self, password: str = PASSWORD, **fields: str) -> httpx.Response:
        return await self.post("/console/sign-in", **{"email": self.email, "password": password, **fields})


class Office:
    """Hands out links and browsers."""

    def __init__(self, pool: Pool, settings: Settings, app: Litestar) -> None:
        self.pool = pool
        self.settings = settings
        self.app = app
        # Each test comes from an address of its own: guesses are counted by address, too.
        self.address = f"2001:db8:{secrets.token_hex(2)}:{secrets.token_hex(2)}::1"

    def browser(self, email: str = "") -> Browser:
        transport = httpx.ASGITransport(
            self.app,  # type: ignore[arg-type]
            raise_app_exceptions=False,
            client=(self.address, 1),
        )
        return Browser(transport, email)

    async def link(self, email: str, account_id: AccountId) -> str:
        """The path of a one-time link."""
        keyed = links.keyed(self.settings)
        async with self.pool.acquire() as conn, conn.transaction():
            token = await invite_admin(conn, Email(email), account_id, keyed=keyed, now=clock.now())
        return f"/console/invitation/{token}"

    async def admin(self, account_id: AccountId) -> Browser:
        browser = self.browser(a_name())
        answer = await browser.post(
            await self.link(browser.email, account_id), password=PASSWORD, repeated=PASSWORD
        )
        assert answer.status_code == 303, answer.text
        return browser


def a_name() -> str:
    return f"admin-{secrets.token_hex(4)}@example.com"


def fields_of(page: str) -> dict[str, str]:
    """The hidden fields of a page."""
    found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', page)
    return {name: unescape(value) for name, value in found}


def secret_of(page: str) -> str:
    found = re.search(r'id="secret"[^>]*>(rk_\w+)<', page)
    assert found is not None, page
    return found[1]
