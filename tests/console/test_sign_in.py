"""Getting in: by a one-time link, by a password, and by nothing else."""

import asyncio
import unicodedata
from datetime import timedelta
from typing import TypeAlias

import asyncpg
import httpx
import pytest
from argon2 import PasswordHasher

from api import clock
from api.access.create_tenant import Opened
from api.console import links
from api.console.access import backoff, common, passwords
from api.console.access.backoff import Count
from api.console.access.model import Refused
from api.console.access.passwords import Passwords
from api.console.access.sign_in import Attempt, sign_in
from kernel.text import Email
from tests.console.browser import COOKIE, PASSWORD, Browser, Office, a_name, fields_of
from tests.makers import NOON

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
WRONG = "This e-mail address and password do not belong together."


# ── one-time links ───────────────────────────────────────────────────────────────────────────────


async def test_the_first_link_sets_a_password_and_signs_in(office: Office, opened: Opened) -> None:
    browser = office.browser(a_name())
    link = await office.link(browser.email, opened.account_id)

    shown = await browser.get(link)
    assert browser.email in shown.text
    answer = await browser.post(link, password=PASSWORD, repeated=PASSWORD)

    assert (answer.status_code, answer.headers["location"]) == (303, "/console")
    assert (await browser.get("/console")).status_code == 200


async def test_a_link_works_once(office: Office, opened: Opened) -> None:
    link = await office.link(a_name(), opened.account_id)
    first, second = office.browser(), office.browser()
    token = await first.get(link), await second.get(link)
    assert [shown.status_code for shown in token] == [200, 200], "looking at it does not use it"

    await first.post(link, password=PASSWORD, repeated=PASSWORD)
    assert (await second.get(link)).status_code == 404


async def test_two_who_open_a_link_at_once_are_one_who_gets_in(office: Office, opened: Opened) -> None:
    link = await office.link(a_name(), opened.account_id)
    answers = await asyncio.gather(
        *(office.browser().post(link, password=PASSWORD, repeated=PASSWORD) for _ in range(2))
    )
    assert sorted(answer.status_code for answer in answers) == [303, 404]


async def test_a_new_link_replaces_the_old(office: Office, opened: Opened, stranger: Browser) -> None:
    email = a_name()
    old = await office.link(email, opened.account_id)
    new = await office.link(email, opened.account_id)

    assert (await stranger.get(old)).status_code == 404
    assert (await stranger.get(new)).status_code == 200


async def test_a_link_is_over_after_a_day(
    office: Office, opened: Opened, stranger: Browser, owner: Owner
) -> None:
    link = await office.link(a_name(), opened.account_id)
    await owner.execute("UPDATE admin_invitations SET expires_at = now() WHERE used_at IS NULL")
    assert (await stranger.get(link)).status_code == 404


async def test_a_link_for_an_admin_gives_a_new_password_and_ends_every_session(
    office: Office, opened: Opened, admin: Browser
) -> None:
    link = await office.link(admin.email, opened.account_id)
    await office.browser().post(link, password="another sentence", repeated="another sentence")

    assert (await admin.get("/console")).status_code == 303
    assert (await admin.sign_in()).status_code == 403
    assert (await admin.sign_in("another sentence")).status_code == 303


@pytest.mark.parametrize(
    ("password", "repeated"),
    [
        ("short", "short"),
        ("correct horse battery", "correct horse batterie"),
        ("aaaaaaaaaaaaaaaa", "aaaaaaaaaaaaaaaa"),
        ("x" * 201, "x" * 201),
    ],
)
async def test_a_password_that_is_none_is_refused_and_the_link_stays(
    office: Office, opened: Opened, stranger: Browser, password: str, repeated: str
) -> None:
    link = await office.link(a_name(), opened.account_id)
    answer = await stranger.post(link, password=password, repeated=repeated)

    assert answer.status_code == 422
    assert f'"{password}"' not in answer.text
    assert (await stranger.get(link)).status_code == 200


@pytest.mark.parametrize(
    "password",
    [
        "passwordpassword",
        "Password-Password-1",
        "PasswordPasswordPa",
        "123456789012",
        "abcdefghijkl",
        "zyxwvutsrqpon",
        "qwertyuiopasdf",
        "1qaz2wsx3edc",
        "1q2w3e4r5t6y",
        "monkey monkey monkey",
        "jo.martin@house.example",
        "jomartinjomartin",
        "martin-house-2026",
        "Ristourne2026!",
        "ristourne console",
        "correct horse battery staple",
        "May the Force be with you",
        "iloveyou1234",
        "aaaaaaaabbbbbbbb",
    ],
)
def test_a_password_that_is_guessed_first_is_refused(password: str) -> None:
    with pytest.raises(Refused, match="guessed first"):
        passwords.check(password, password, email=Email("jo.martin@house.example"))


@pytest.mark.parametrize(
    "password",
    [
        PASSWORD,
        "another sentence",
        "kT9#vq2Lm!xa",
        "my password is a heron",
        "été à la campagne",
        "東京の夜は静かで長いですね",
    ],
)
def test_a_password_that_says_nothing_is_taken(password: str) -> None:
    passwords.check(password, password, email=Email("jo.martin@house.example"))


def test_the_list_has_only_what_is_long_enough_to_be_asked_about() -> None:
    assert len(common.COMMON) >= 100
    assert [word for word in common.COMMON if len(word) < 12 or not word.isalnum()] == []


# ── passwords ────────────────────────────────────────────────────────────────────────────────────


async def test_a_password_signs_in_whatever_letters_the_name_is_written_in(admin: Browser) -> None:
    answer = await admin.sign_in(email=admin.email.upper())
    assert (answer.status_code, answer.headers["location"]) == (303, "/console")


async def test_a_name_is_the_same_however_a_keyboard_writes_it(office: Office, opened: Opened) -> None:
    tail = a_name().partition("@")[0]
    name = f"josé-{tail}@bücher.example"
    await office.browser().post(
        await office.link(name, opened.account_id), password=PASSWORD, repeated=PASSWORD
    )
    for typed in (name, unicodedata.normalize("NFD", name), f" JOSÉ-{tail}@XN--BCHER-KVA.example "):
        assert (await office.browser(typed).sign_in()).status_code == 303, typed


async def test_nobody_learns_who_is_an_admin(admin: Browser, office: Office) -> None:
    wrong = await office.browser(admin.email).sign_in("wrong wrong wrong")
    unknown = await office.browser(a_name()).sign_in("wrong wrong wrong")

    assert wrong.status_code == unknown.status_code == 403
    assert WRONG in wrong.text
    assert WRONG in unknown.text


async def test_the_password_of_nobody_opens_nothing() -> None:
    """A name without a password is compared with a hash of ours, which must not let its word in."""
    assert not await Passwords().match(None, "the password of nobody")


async def test_the_page_that_was_asked_for_is_shown_after_signing_in(admin: Browser, opened: Opened) -> None:
    wanted = f"/console/{opened.test.id}/invoices"
    await admin.post("/console/sign-out", page="/console")
    sent = await admin.get(wanted)
    assert sent.headers["location"] == f"/console/sign-in?next={wanted}"

    shown = await admin.get(sent.headers["location"])
    assert f'value="{wanted}"' in shown.text
    assert (await admin.sign_in(next=wanted)).headers["location"] == wanted


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example", "//evil.example", "/console//evil.example", "/v1", "/console/../x"]
)
async def test_signing_in_leads_nowhere_else(admin: Browser, elsewhere: str) -> None:
    assert (await admin.sign_in(next=elsewhere)).headers["location"] == "/console"


async def test_a_password_made_with_older_parameters_is_hashed_again(admin: Browser, owner: Owner) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    await owner.execute("UPDATE admins SET password_hash = $1 WHERE email = $2", old, admin.email)
    assert (await admin.sign_in()).status_code == 303

    kept = await owner.fetchval("SELECT password_hash FROM admins WHERE email = $1", admin.email)
    assert kept.startswith("$argon2id$")
    assert "m=65536" in kept


async def test_a_sign_in_under_way_does_not_outlive_the_password_it_came_with(
    office: Office, opened: Opened, admin: Browser, owner: Owner
) -> None:
    link = await office.link(admin.email, opened.account_id)

    class Slow(Passwords):
        """While it looks, the password is set anew by somebody else."""

        async def match(self, kept: str | None, password: str) -> bool:
            matches = await super().match(kept, password)
            reset = await office.browser().post(
                link, password="another sentence", repeated="another sentence"
            )
            assert reset.status_code == 303
            return matches

    older = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash(PASSWORD)
    await owner.execute("UPDATE admins SET password_hash = $1 WHERE email = $2", older, admin.email)
    attempt = Attempt(email=admin.email, password=PASSWORD, address="", device=None, cookie=None)
    with pytest.raises(Refused, match=WRONG):
        await sign_in(
            office.pool, attempt, keyed=links.keyed(office.settings), hasher=Slow(), now=clock.now()
        )
    assert (await office.browser(admin.email).sign_in()).status_code == 403
    assert (await office.browser(admin.email).sign_in("another sentence")).status_code == 303


# ── guessing ─────────────────────────────────────────────────────────────────────────────────────


async def test_a_thousand_guesses_fail_and_next_to_none_is_even_looked_at(
    admin: Browser, office: Office
) -> None:
    guesser = office.browser(admin.email)
    fields = await _fields(guesser)
    answers: list[httpx.Response] = []
    for start in range(0, 1000, 40):
        answers += await asyncio.gather(
            *(
                guesser.send("/console/sign-in", {**fields, "password": f"guess {start + n}"})
                for n in range(40)
            )
        )
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {403, 429}
    assert statuses.count(403) <= 12  # the free ones, and what the seconds of this test let through
    slow = next(answer for answer in answers if answer.status_code == 429)
    assert int(slow.headers["retry-after"]) >= 1
    assert "guess" not in slow.text

    # The stranger's guesses do not keep out the admin, whose browser is known.
    assert (await admin.sign_in()).status_code == 303


async def test_guesses_sent_at_once_are_counted_one_by_one(admin: Browser, office: Office) -> None:
    guesser = office.browser(admin.email)
    fields = await _fields(guesser)
    answers = await asyncio.gather(
        *(guesser.send("/console/sign-in", {**fields, "password": f"guess {n}"}) for n in range(40))
    )
    assert [answer.status_code for answer in answers].count(403) <= backoff.FREE_PER_NAME + 1


async def _fields(browser: Browser) -> dict[str, str | list[str]]:
    shown = await browser.get("/console/sign-in")
    return {**fields_of(shown.text), "email": browser.email}


def test_waits_double_and_end_at_a_minute() -> None:
    count = Count(lane=b"", failures=0, last_at=NOON, blocked_until=NOON)
    waits = []
    for _ in range(14):
        count = backoff.counted(count, free=5, now=NOON)
        waits.append(backoff.wait_seconds([count], now=NOON))
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60, 60, 60]


def test_failures_are_forgotten_after_a_day() -> None:
    count = Count(lane=b"", failures=50, last_at=NOON, blocked_until=NOON)
    assert backoff.counted(count, free=5, now=NOON + timedelta(hours=25)).failures == 1


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("", None),
        ("127.0.0.1", None),
        ("::1", None),
        ("::ffff:10.1.2.3", None),
        ("172.20.0.5", None),
        ("fd00:1::7", None),
        ("::2", "::"),
    ],
)
def test_an_address_is_counted_by_what_its_owner_has(address: str, network: str | None) -> None:
    assert backoff.network_of(address) == network


async def test_who_comes_through_a_proxy_is_not_kept_out_by_whoever_else_does(office: Office) -> None:
    async def guesses() -> set[int]:
        browsers = [office.browser(a_name()) for _ in range(backoff.FREE_PER_ADDRESS + 4)]
        return {(await browser.sign_in("wrong wrong wrong")).status_code for browser in browsers}

    assert await guesses() == {403, 429}
    office.address = "10.0.0.7"
    assert await guesses() == {403}


async def test_nobody_says_by_a_header_where_they_come_from(office: Office, admin: Browser) -> None:
    office.address = "10.0.0.7"
    guesser = office.browser(admin.email)
    fields = await _fields(guesser)
    answers = [
        await guesser.send(
            "/console/sign-in", {**fields, "password": "x"}, **{"x-forwarded-for": f"192.0.2.{n}"}
        )
        for n in range(backoff.FREE_PER_NAME + 2)
    ]
    assert answers[-1].status_code == 429, "the lane of the name stays"


# ── sessions ─────────────────────────────────────────────────────────────────────────────────────


async def test_the_session_has_another_id_after_signing_in(admin: Browser, office: Office) -> None:
    browser = office.browser(admin.email)
    await browser.get("/console/sign-in")
    before = browser.cookie
    await browser.sign_in()

    assert browser.cookie not in (None, before)


async def test_signing_in_again_ends_the_session_before(admin: Browser) -> None:
    before = str(admin.cookie)
    await admin.sign_in()
    admin.plant(before)
    assert (await admin.get("/console")).status_code == 303


async def test_a_planted_cookie_is_worth_nothing(admin: Browser, office: Office) -> None:
    planted = "A" * 43
    victim = office.browser(admin.email)
    victim.plant(planted)
    await victim.sign_in()
    assert victim.cookie != planted

    thief = office.browser()
    thief.plant(planted)
    assert (await thief.get("/console")).status_code == 303


async def test_two_cookies_of_one_name_are_none_and_that_is_said(admin: Browser) -> None:
    both = f"{COOKIE}={admin.cookie}; {COOKIE}={'A' * 43}"
    admin.http.cookies.clear()
    for path in ("/console", "/console/sign-in"):
        answer = await admin.get(path, cookie=both)
        assert answer.status_code == 400
        assert "two cookies" in answer.text
        ended = answer.headers["set-cookie"]
        assert ended.startswith(f"{COOKIE}=")
        assert "Path=/console;" in f"{ended};"
        assert "Max-Age=0" in ended


@pytest.mark.parametrize("value", ["", "x", "é" * 43, "A" * 4000, '"', "A" * 42 + "\x7f"])
async def test_a_cookie_that_we_never_gave_is_no_error(stranger: Browser, value: str) -> None:
    answer = await stranger.http.get("/console", headers={b"cookie": f"{COOKIE}={value}".encode()})
    assert answer.status_code == 303


async def test_the_database_keeps_no_id_that_opens_a_session(admin: Browser, owner: Owner) -> None:
    rows = await owner.fetch(
        "SELECT s::text FROM admin_sessions s UNION ALL SELECT i::text FROM admin_invitations i"
    )
    assert admin.cookie is not None
    assert not any(admin.cookie in row[0] for row in rows)


async def test_signing_out_ends_the_session_everywhere_it_is_kept(admin: Browser) -> None:
    kept = admin.cookie
    answer = await admin.post("/console/sign-out", page="/console")
    assert answer.headers["location"] == "/console/sign-in"

    admin.plant(str(kept))
    assert (await admin.get("/console")).status_code == 303


async def test_signing_out_everywhere_ends_every_session(admin: Browser, office: Office) -> None:
    other = office.browser(admin.email)
    await other.sign_in()
    shown = await admin.get("/console/sessions")
    assert (shown.text.count("This browser"), shown.text.count("Another browser")) == (1, 1)

    await admin.post("/console/sign-out-everywhere", page="/console/sessions")
    assert (await other.get("/console")).status_code == 303


@pytest.mark.parametrize(
    "change",
    ["seen_at = now() - interval '61 minutes'", "expires_at = now()", "revoked_at = now()"],
)
async def test_a_session_that_is_over_opens_nothing(admin: Browser, owner: Owner, change: str) -> None:
    await owner.execute(
        f"UPDATE admin_sessions SET {change} WHERE admin_id = (SELECT id FROM admins WHERE email = $1)",
        admin.email,
    )
    assert (await admin.get("/console")).status_code == 303


async def test_using_a_session_keeps_it_alive(admin: Browser, owner: Owner) -> None:
    select = "SELECT max(seen_at) FROM admin_sessions"
    await owner.execute("UPDATE admin_sessions SET seen_at = now() - interval '59 minutes'")
    before = await owner.fetchval(select)
    await admin.get("/console")
    assert await owner.fetchval(select) > before + timedelta(minutes=50)
