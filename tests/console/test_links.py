"""Where a one-time link comes from: `ristourne admin invite`, and the first one from `make up`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from api import clock
from api.access import store as accounts
from api.access.create_tenant import Opened, create_tenant
from api.access.model import AccountId
from api.console.access import store
from api.console.access.accept import accept_invitation
from api.console.access.first_link import first_admin_token
from api.console.access.keyed import Keyed
from api.console.access.passwords import Passwords
from api.settings import Settings
from kernel.database import open_pool
from tests import servers
from tests.api.test_stack import Start, eventually
from tests.api.test_stack import data as data  # noqa: PLC0414 (a fixture)
from tests.api.test_stack import start as start  # noqa: PLC0414 (a fixture)
from tests.console.browser import PASSWORD, Browser, Office, a_name


def invite(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return ristourne_admin(settings, "invite", *arguments)


def ristourne_admin(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key.hex(),
        "BASE_URL": settings.base_url,
    }
    return subprocess.run(
        (sys.executable, "-m", "api", "admin", *arguments),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_the_command_prints_a_link_that_works(
    settings: Settings, opened: Opened, stranger: Browser
) -> None:
    stranger.email = a_name()
    said = invite(settings, stranger.email, "--account", str(opened.account_id))
    assert said.returncode == 0, said.stderr

    answer = await stranger.post(said.stdout.strip(), password=PASSWORD, repeated=PASSWORD)
    assert answer.status_code == 303
    assert str(opened.test.id) in (await stranger.get("/console")).text


async def test_the_command_speaks_json(settings: Settings, opened: Opened) -> None:
    said = invite(settings, a_name(), "--account", str(opened.account_id), "--json")
    assert json.loads(said.stdout)["link"].startswith("http://test/console/invitation/")


@pytest.mark.parametrize("arguments", [("not-an-address",), ("a@example.com", "--account", "nobody")])
def test_what_cannot_be_invited_is_a_sentence(
    settings: Settings, opened: Opened, arguments: tuple[str, ...]
) -> None:
    said = invite(settings, *arguments)
    assert said.returncode == 2
    assert "Traceback" not in said.stderr


async def test_who_is_removed_is_out_at_once_and_for_good(
    settings: Settings, opened: Opened, admin: Browser, office: Office
) -> None:
    link = await office.link(admin.email, opened.account_id)
    said = ristourne_admin(settings, "remove", admin.email.upper(), "--account", str(opened.account_id))
    assert said.returncode == 0, said.stderr

    assert (await admin.get(f"/console/{opened.test.id}/keys")).status_code == 303
    assert (await admin.sign_in()).status_code == 403
    assert (await admin.get(link)).status_code == 404
    again = ristourne_admin(settings, "remove", admin.email)
    assert (again.returncode, "Traceback" in again.stderr) == (2, False)

    await office.link(admin.email, opened.account_id)
    assert (await admin.sign_in()).status_code == 403, "the old password is forgotten"


async def test_who_is_removed_from_one_account_keeps_the_others(
    settings: Settings, opened: Opened, admin: Browser, office: Office
) -> None:
    async with office.pool.acquire() as conn, conn.transaction():
        other = await create_tenant(conn, "Other", now=clock.now())
    await office.link(admin.email, other.account_id)
    ristourne_admin(settings, "remove", admin.email, "--account", str(opened.account_id))

    assert (await admin.get(f"/console/{opened.test.id}/keys")).status_code == 404
    assert (await admin.get(f"/console/{other.test.id}/keys")).status_code == 200


async def test_who_has_no_product_reads_what_helps(office: Office) -> None:
    account_id = AccountId.new()
    async with office.pool.acquire() as conn, conn.transaction():
        await accounts.insert_account(conn, account_id, "Empty", now=clock.now())
    admin = await office.admin(account_id)
    assert f"ristourne admin invite {admin.email} --account" in (await admin.get("/console")).text


async def test_admins_are_listed(settings: Settings, opened: Opened, admin: Browser, office: Office) -> None:
    invited = a_name()
    await office.link(invited, opened.account_id)
    lines = ristourne_admin(settings, "list").stdout.splitlines()
    mine, theirs = (next(line for line in lines if email in line) for email in (admin.email, invited))
    assert "Acme" in mine
    assert "seen 2" in mine
    assert "invited" in theirs

    listed = json.loads(ristourne_admin(settings, "list", "--json").stdout)["admins"]
    one = next(one for one in listed if one["email"] == admin.email)
    assert one["id"].startswith("adm_")
    assert (one["accounts"], one["has_password"]) == (["Acme"], True)


async def test_the_first_link_is_made_until_somebody_has_a_password(server_urls: None) -> None:
    async with servers.migrated_database() as database:
        pool, now = await open_pool(database.app_url, size=2), clock.now()
        keyed = Keyed(b"k" * 32)
        async with pool.acquire() as conn:
            account = (await create_tenant(conn, "Demo", now=now)).account_id
        first = await first_admin_token(pool, account, keyed=keyed, now=now)
        second = await first_admin_token(pool, account, keyed=keyed, now=now)
        assert first is not None
        assert second is not None
        assert await store.invitation(pool, keyed.hash("invitation", first)) is None, "it was replaced"

        await accept_invitation(pool, second, PASSWORD, PASSWORD, keyed=keyed, hasher=Passwords(), now=now)
        assert await first_admin_token(pool, account, keyed=keyed, now=now) is None
        await pool.close()


def test_make_up_prints_the_first_link_in_one_piece(start: Start, data: Path) -> None:
    running = start(data).ready().running()
    assert running.first_admin_url is not None
    assert httpx.URL(running.first_admin_url).path.startswith("/console/invitation/")
    log = data.with_name(f"{data.name}-{httpx.URL(running.base_url).port}.log")
    link = f"First link {running.first_admin_url}\n"
    eventually(lambda: link in log.read_text())  # the card is written before it is printed
