"""What stands between a page of the console and somebody who should not be there."""

import re

import httpx
import pytest
from litestar.types import Receive, Scope, Send

from api import clock, front
from api.access import store as accounts
from api.access.create_tenant import Opened, create_tenant
from api.access.model import AccountId
from api.console import links
from api.console.access.model import AdminId
from api.console.cookies import Cookies
from api.console.here import NAVIGATION
from api.console.pages import ROUTES
from api.front import Front
from billing.parties import store as parties
from billing.parties.model import Customer
from kernel.database import Tx
from kernel.ids import TenantId
from kernel.paging import Page, Window
from tests.console.browser import FORM, Browser, Office, fields_of

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
SECTIONS = [section.path for group in NAVIGATION for section in group.sections]


# ── headers ──────────────────────────────────────────────────────────────────────────────────────


def pages_of(opened: Opened) -> list[str]:
    return [
        "/console",
        "/console/sessions",
        "/console/sign-in",
        "/console/invitation/none",
        "/console/nowhere",
        *(f"/console/{opened.test.id}/{section}" for section in SECTIONS),
        f"/console/{opened.test.id}/keys/new",
    ]


async def test_every_page_says_what_it_allows(admin: Browser, opened: Opened) -> None:
    for path in pages_of(opened):
        headers = (await admin.get(path)).headers
        assert headers["content-security-policy"] == POLICY, path
        assert headers["x-frame-options"] == "DENY", path
        assert headers["x-content-type-options"] == "nosniff", path
        assert headers["referrer-policy"] == "same-origin", path
        assert headers["cache-control"] == "no-store", path


async def test_no_page_has_anything_inline(admin: Browser, opened: Opened) -> None:
    for path in pages_of(opened):
        text = (await admin.get(path)).text
        assert "<style" not in text, path
        assert not re.search(r"<script(?![^>]*\ssrc=\"/console/assets/)", text), path
        assert not re.search(r"<[^>]+\s(style|on\w+)=", text), path
        assert '"allowEval":false' in text, path


async def test_assets_are_kept_by_browsers_and_pages_name_their_content(admin: Browser) -> None:
    shown = (await admin.get("/console")).text
    for path in re.findall(r'(?:src|href)="(/console/assets/[^"]+)"', shown):
        answer = await admin.get(path)
        assert answer.status_code == 200, path
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["x-content-type-options"] == "nosniff"
    for name in ("README.md", "htmx.LICENSE.txt", "../app.py", "%2e%2e%2fapp.py"):
        assert (await admin.get(f"/console/assets/{name}")).status_code in (303, 404)


async def test_the_api_keeps_its_own_errors(admin: Browser) -> None:
    answer = await admin.get("/v1/nowhere")
    assert answer.headers["content-type"] == "application/problem+json"
    assert "content-security-policy" not in answer.headers


@pytest.mark.parametrize(("base_url", "prefix"), [("https://bill.example", "__Host-"), ("http://x:81", "")])
def test_where_there_is_tls_no_other_host_can_plant_a_cookie(
    office: Office, base_url: str, prefix: str
) -> None:
    cookies = Cookies(base_url, links.keyed(office.settings))
    for cookie in (cookies.session("x"), cookies.new_device("a@example.com"), cookies.no_session()):
        assert cookie.key.startswith(f"{prefix}ristourne")
        assert (cookie.httponly, cookie.samesite, cookie.path, cookie.domain) == (True, "lax", "/", None)
        assert bool(cookie.secure) is (prefix != "")


# ── whose tenant ─────────────────────────────────────────────────────────────────────────────────


async def test_another_accounts_tenant_answers_as_one_that_never_was(admin: Browser, office: Office) -> None:
    async with office.pool.acquire() as conn, conn.transaction():
        others = (await create_tenant(conn, "Other", now=clock.now())).test.id
    for section in [*SECTIONS, "keys/new", ""]:
        theirs = await admin.get(f"/console/{others}/{section}")
        nobodys = await admin.get(f"/console/{TenantId.new()}/{section}")
        malformed = await admin.get(f"/console/ten_x/{section}")
        assert theirs.status_code == nobodys.status_code == malformed.status_code == 404
        assert theirs.text == nobodys.text == malformed.text


async def test_an_act_on_another_accounts_tenant_does_nothing(admin: Browser, office: Office) -> None:
    async with office.pool.acquire() as conn, conn.transaction():
        others = (await create_tenant(conn, "Other", now=clock.now())).test.id
    fields = {
        "csrf": await admin.token(),
        "once": "A" * 43,
        "name": "Theirs",
        "task": "everything",
        "life": "",
    }
    answer = await admin.send(f"/console/{others}/keys/new", {**fields})
    assert answer.status_code == 404
    assert await office.pool.fetchval("SELECT count(*) FROM key_directory WHERE tenant_id = $1", others) == 0


async def test_a_page_cannot_write(admin: Browser, opened: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    async def asking(tx: Tx, _: Window) -> Page[Customer]:
        await accounts.insert_account(tx.conn, AccountId.new(), "x", now=tx.now)
        return Page(data=[], next_cursor=None)

    monkeypatch.setattr(parties, "customers", asking)
    answer = await admin.get(f"/console/{opened.test.id}/customers")
    assert answer.status_code == 500
    assert "read-only" not in answer.text, "our own failures are for the log"


async def test_without_a_session_every_page_leads_to_the_sign_in(stranger: Browser, opened: Opened) -> None:
    for path in pages_of(opened):
        answer = await stranger.get(path)
        if path in ("/console/sign-in", "/console/invitation/none", "/console/nowhere"):
            continue
        assert answer.status_code == 303, path
        assert answer.headers["location"].startswith("/console/sign-in"), path


async def test_a_script_whose_session_is_over_goes_to_the_sign_in(stranger: Browser) -> None:
    answer = await stranger.get("/console/sessions", **{"hx-request": "true"})
    assert answer.headers["hx-redirect"] == "/console/sign-in?next=/console/sessions"


def test_only_what_lets_people_in_is_open_to_all() -> None:
    open_to_all = {
        min(handler.paths)
        for handler in ROUTES
        if "console" not in handler.opt or handler.opt["console"].reach.name == "EVERYBODY"
    }
    assert open_to_all == {
        "/console/assets/{name:str}",
        "/console/sign-in",
        "/console/invitation/{token:str}",
    }


async def test_the_log_names_the_admin(
    admin: Browser, opened: Opened, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines: list[dict[str, object]] = []
    monkeypatch.setattr(front.log, "info", lambda _, **line: lines.append(line), raising=False)
    await admin.get(f"/console/{opened.test.id}/keys")
    await admin.get(f"/console/{TenantId.new()}/keys")
    await office.browser().get("/console/sessions")

    kept = await office.pool.fetchval("SELECT id FROM admins WHERE email = $1", admin.email)
    assert [line["admin"] for line in lines] == [str(AdminId.of(kept))] * 2 + [None]


# ── forms ────────────────────────────────────────────────────────────────────────────────────────


async def test_a_form_without_the_sessions_token_is_refused(admin: Browser, office: Office) -> None:
    other = office.browser()
    theirs = fields_of((await other.get("/console/sign-in")).text)["csrf"]
    for token in ("", "x", theirs, "é", "A" * 43, str(admin.cookie)):
        answer = await admin.send("/console/sign-out", {"csrf": token})
        assert answer.status_code == 403, token
    assert (await admin.get("/console")).status_code == 200


async def test_a_planted_token_is_worth_nothing(admin: Browser, office: Office) -> None:
    """Whoever plants a cookie knows the token that goes with it. Both are dead once somebody signs in."""
    planted = "B" * 43
    thief = office.browser()
    thief.plant(planted)
    token = fields_of((await thief.get("/console/sign-in")).text)["csrf"]

    victim = office.browser(admin.email)
    victim.plant(planted)
    await victim.sign_in()
    assert (await victim.send("/console/sign-out", {"csrf": token})).status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://test.evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://[", "sec-fetch-site": "same-origin"},
    ],
)
async def test_a_form_from_elsewhere_is_refused_even_with_the_token(
    admin: Browser, headers: dict[str, str]
) -> None:
    answer = await admin.send("/console/sign-out", {"csrf": await admin.token()}, **headers)
    assert answer.status_code == 403
    assert (await admin.get("/console")).status_code == 200


async def test_a_proxy_may_ask_us_by_another_name(admin: Browser) -> None:
    """Its own name is in the Origin and in BASE_URL, ours inside is in the Host. A third name is neither."""
    fields = {"csrf": await admin.token()}
    refused = await admin.send("/console/sign-out", {**fields}, host="10.0.0.7:8000", origin="http://other")
    taken = await admin.send("/console/sign-out", {**fields}, host="10.0.0.7:8000", origin="http://test")
    assert (refused.status_code, taken.status_code) == (403, 303)


async def test_a_form_that_does_not_say_where_it_comes_from_is_refused(admin: Browser) -> None:
    fields = {"csrf": await admin.token()}
    assert (await admin.http.post("/console/sign-out", data=fields)).status_code == 403


BODIES = {
    "bad UTF-8": (b"csrf=%ff%fe", 400),
    "raw bad UTF-8": (b"csrf=\xff\xfe", 400),
    "NUL": (b"email=a%00b", 400),
    "escape": (b"email=%1b[0m", 400),
    "too long": (b"email=" + b"a" * 70_000, 413),
    "too many fields": (b"&".join(b"a%d=1" % n for n in range(400)), 400),
    "nothing": (b"", 403),
    "not a form": (b"{}", 403),
    "half an escape": (b"csrf=%e9%", 400),
    "surrogate": (b"csrf=%ed%a0%80", 400),
}


@pytest.mark.parametrize(("body", "status"), BODIES.values(), ids=BODIES.keys())
async def test_whatever_is_sent_is_refused_in_order(admin: Browser, body: bytes, status: int) -> None:
    headers = {**FORM, "content-type": "application/x-www-form-urlencoded"}
    answer = await admin.http.post("/console/sign-in", content=body, headers=headers)
    assert answer.status_code == status
    assert answer.headers["content-security-policy"] == POLICY
    assert "<h1>" in answer.text


@pytest.mark.parametrize(
    "media_type", ["application/json", "multipart/form-data; boundary=x", "text/plain", ""]
)
async def test_only_forms_are_taken(admin: Browser, media_type: str) -> None:
    headers = {**FORM, "content-type": media_type}
    assert (await admin.http.post("/console/sign-in", content=b"a=b", headers=headers)).status_code == 415


@pytest.mark.parametrize(
    "path", ["/console/%00", "/console/%ff", "/console/%0d%0aSet-Cookie:a=b", "/console/invitation/%c3%28"]
)
async def test_no_address_is_an_error_of_ours(admin: Browser, path: str) -> None:
    answer = await admin.get(path)
    assert answer.status_code == 400
    assert answer.headers["content-security-policy"] == POLICY


@pytest.mark.parametrize("part", ["%E2%82%AC", "a%26b", "a%23b", "a%3Fb", "a%20b", "%25"])
async def test_a_stranger_is_led_to_the_sign_in_from_whatever_address(stranger: Browser, part: str) -> None:
    answer = await stranger.get(f"/console/{part}/keys")
    assert answer.status_code == 303
    assert answer.headers["location"] == f"/console/sign-in?next=/console/{part}/keys"


@pytest.mark.parametrize(("path", "policy"), [("/console/x", POLICY), ("/v1/x", None)])
async def test_what_escapes_everything_is_still_answered(path: str, policy: str | None) -> None:
    async def broken(_: Scope, __: Receive, ___: Send) -> None:
        raise UnicodeEncodeError("latin-1", "€", 0, 1, "secret")

    transport = httpx.ASGITransport(Front(broken))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.get(path)
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert answer.headers["x-request-id"] == answer.json()["request_id"]
    assert answer.headers.get("content-security-policy") == policy
    assert "secret" not in answer.text


async def test_no_query_is_an_error_of_ours(admin: Browser, opened: Opened) -> None:
    list_path = f"/console/{opened.test.id}/customers"
    for query in ("cursor=x", "cursor=%00", "cursor=%ff", "cursor=é", "limit=0", "limit=1e9", "limit=١"):
        assert (await admin.get(f"{list_path}?{query}")).status_code == 400, query
    assert (await admin.get("/console/sign-in?next=%ff%00")).status_code == 200


async def test_another_method_is_a_page(admin: Browser) -> None:
    answer = await admin.http.put("/console")
    assert answer.status_code == 405
    assert answer.headers["content-security-policy"] == POLICY
