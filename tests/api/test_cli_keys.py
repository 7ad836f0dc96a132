"""The first account and the first key come from a shell."""

import asyncio
import sys

import httpx
import msgspec

from api.serve import PROGRAMS
from api.settings import Settings
from tests import servers
from tests.api.conftest import bearer
from tests.servers import Database


async def ristourne(settings: Settings, database: Database, *words: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        PROGRAMS / "ristourne",
        *words,
        env={
            "DATABASE_URL": database.owner_url,
            "APP_DATABASE_URL": database.app_url,
            "REDIS_URL": settings.redis_url,
            "SECRET_KEY": servers.SECRET_KEY.hex(),
            "PYTHONPATH": ":".join(sys.path),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_from_nothing_to_a_key_and_back(
    settings: Settings, database: Database, anonymous: httpx.AsyncClient
) -> None:
    code, said = await ristourne(settings, database, "tenant", "create", "Umbrella", "--json")
    assert code == 0, said
    assert msgspec.json.decode(said)["test"]["mode"] == "test"

    tenant = ("--tenant", "Umbrella/test")
    code, key = await ristourne(
        settings, database, "keys", "create", *tenant, "--name", "CI", "--scopes", "read_only,api_keys:read"
    )
    assert code == 0, key
    listed = await anonymous.get("/v1/api_keys", headers=bearer(key.strip()))
    key_id = listed.json()["data"][0]["id"]

    code, said = await ristourne(settings, database, "keys", "list", *tenant)
    assert (code, key_id in said, key.strip() in said) == (0, True, False)
    code, said = await ristourne(settings, database, "keys", "revoke", *tenant, key_id)
    assert code == 0, said
    assert (await anonymous.get("/v1/api_keys", headers=bearer(key.strip()))).status_code == 401


async def test_a_mistake_is_a_sentence(settings: Settings, database: Database) -> None:
    code, said = await ristourne(
        settings, database, "keys", "create", "--tenant", "Nobody/test", "--name", "x"
    )
    assert (code, "Traceback" in said) == (1, False)
    assert "tenant list" in said
    code, said = await ristourne(
        settings, database, "keys", "create", "--tenant", "Nobody/test", "--name", "x", "--scopes", "all"
    )
    assert (code, "Traceback" in said) == (2, False)
    assert "'all'" in said
