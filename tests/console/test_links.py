"""Where a one-time link comes from: `ristourne admin invite`, and the first one from `make up`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from api import clock
from api.access.create_tenant import Opened, create_tenant
from api.console.access import store
from api.console.access.accept import accept_invitation
from api.console.access.first_link import first_admin_token
from api.console.access.keyed import Keyed
from api.console.access.passwords import Passwords
from api.settings import Settings
from kernel.database import open_pool
from tests import servers
from tests.api.test_stack import Start
from tests.api.test_stack import data as data  # noqa: PLC0414 (a fixture)
from tests.api.test_stack import start as start  # noqa: PLC0414 (a fixture)
from tests.console.browser import PASSWORD, Browser, a_name


def invite(settings: Settings, *arguments: str) -> "subprocess.CompletedProcess[str]":
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key.hex(),
        "BASE_URL": settings.base_url,
    }
    return subprocess.run(
        (sys.executable, "-m", "api", "admin", "invite", *arguments),
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
    assert f"First link {running.first_admin_url}\n" in log.read_text()
