"""Keys open a tenant, and nothing else does."""

import asyncio
from datetime import timedelta
from typing import TypeAlias

import asyncpg
import httpx
import pytest

from api import clock
from api.access import key_text, scopes
from api.access.admissions import FOR_SECONDS
from api.access.bootstrap import demo_tenant
from api.access.create_tenant import Opened
from api.access.key_text import Hasher
from api.access.model import Mode
from api.app import OPERATIONS, create_app
from api.settings import Settings
from kernel.database import Pool
from kernel.errors import Invalid
from tests.api.conftest import MakeKey, bearer
from tests.client import client_for

Owner: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def code_of(client: httpx.AsyncClient, key: str) -> tuple[int, str | None]:
    answer = await client.get("/v1/api_keys", headers=bearer(key))
    return answer.status_code, answer.json().get("code")


# ── the text of a key ────────────────────────────────────────────────────────────────────────────


def test_a_key_says_its_mode_and_can_be_read_back() -> None:
    key = key_text.mint(Mode.TEST)
    assert key.text.startswith(f"rk_test_{key.public_id}")
    assert key_text.parse(key.text) == key


def test_the_secret_part_holds_178_bits_or_more() -> None:
    secret = len(key_text.mint(Mode.LIVE).text) - len("rk_live_") - 12 - 6
    assert 62**secret >= 2**178


def test_every_single_changed_character_is_noticed_before_any_look_up() -> None:
    text = key_text.mint(Mode.LIVE).text
    for at in range(len(text)):
        other = "x" if text[at] != "x" else "y"
        with pytest.raises(Invalid, match="mistyped"):
            key_text.parse(text[:at] + other + text[at + 1 :])


def test_printing_a_key_does_not_show_its_secret() -> None:
    key = key_text.mint(Mode.LIVE)
    assert key.text not in repr(key)


def test_a_hash_under_another_subkey_does_not_match() -> None:
    key = key_text.mint(Mode.LIVE)
    stored = Hasher(b"one").hash(key)
    assert Hasher(b"one").matches(key, stored)
    assert not Hasher(b"other").matches(key, stored)


# ── who is let in ────────────────────────────────────────────────────────────────────────────────


async def test_no_key_is_401(anonymous: httpx.AsyncClient) -> None:
    answer = await anonymous.get("/v1/api_keys")
    assert (answer.status_code, answer.json()["code"]) == (401, "key_missing")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header", ["Bearer", "Bearer ", "Bearer abc", "Basic abc", "Bearer rk_live_é", "rk_test_abc"]
)
async def test_what_is_no_key_is_refused_without_the_database(
    anonymous: httpx.AsyncClient, header: str
) -> None:
    answer = await anonymous.get("/v1/api_keys", headers={b"Authorization": header.encode()})
    assert (answer.status_code, answer.json()["code"]) == (401, "key_malformed")


async def test_a_well_formed_key_that_we_never_gave_is_unknown(anonymous: httpx.AsyncClient) -> None:
    assert await code_of(anonymous, key_text.mint(Mode.TEST).text) == (401, "key_unknown")


async def test_the_right_public_id_with_another_secret_is_unknown(
    anonymous: httpx.AsyncClient, key: str
) -> None:
    other = key_text.mint(Mode.TEST).text
    body = key[: len("rk_test_") + 12] + other[len("rk_test_") + 12 : -6]
    forged = body + key_text._checksum(body)
    assert await code_of(anonymous, key) == (200, None)
    assert await code_of(anonymous, forged) == (401, "key_unknown")


async def test_a_revoked_key_is_refused_at_once(client: httpx.AsyncClient, make_key: MakeKey) -> None:
    other = await make_key()
    assert await code_of(client, other) == (200, None)
    listed = (await client.get("/v1/api_keys")).json()["data"]
    other_id = next(key["id"] for key in listed if key["public_id"] in other)
    assert (await client.post(f"/v1/api_keys/{other_id}/revoke")).status_code == 200
    assert await code_of(client, other) == (401, "key_revoked")


async def test_revoking_twice_changes_nothing(client: httpx.AsyncClient) -> None:
    created = (await client.post("/v1/api_keys", json={"name": "x", "scopes": ["events:read"]})).json()
    first = await client.post(f"/v1/api_keys/{created['id']}/revoke")
    second = await client.post(f"/v1/api_keys/{created['id']}/revoke")
    assert first.json()["revoked_at"] is not None
    assert second.json()["revoked_at"] == first.json()["revoked_at"]


async def test_a_key_revoked_elsewhere_is_refused_within_a_second(
    client: httpx.AsyncClient, make_key: MakeKey, settings: Settings
) -> None:
    other = await make_key()
    listed = (await client.get("/v1/api_keys")).json()["data"]
    other_id = next(key["id"] for key in listed if key["public_id"] in other)
    async with client_for(create_app(settings)) as elsewhere:
        assert await code_of(elsewhere, other) == (200, None)
        assert (await client.post(f"/v1/api_keys/{other_id}/revoke")).status_code == 200
        write = await elsewhere.post("/v1/api_keys", json={}, headers=bearer(other))
        assert (write.status_code, write.json()["code"]) == (401, "key_revoked"), "a command asks every time"
        await asyncio.sleep(FOR_SECONDS)
        assert await code_of(elsewhere, other) == (401, "key_revoked")
    assert FOR_SECONDS < 1


async def test_a_key_expires(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    expires_at = clock.now() + timedelta(hours=1)
    request = {"name": "x", "scopes": ["api_keys:read"], "expires_at": expires_at.isoformat()}
    created = (await client.post("/v1/api_keys", json=request)).json()
    assert await code_of(client, created["secret"]) == (200, None)
    monkeypatch.setattr(clock, "now", lambda: expires_at)
    assert await code_of(client, created["secret"]) == (401, "key_expired")


async def test_a_missing_scope_is_named(anonymous: httpx.AsyncClient, make_key: MakeKey) -> None:
    reader = await make_key(frozenset({"events:read"}))
    answer = await anonymous.get("/v1/api_keys", headers=bearer(reader))
    assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert "api_keys:read" in answer.json()["detail"]


async def test_a_key_opens_its_own_tenant_only(
    client: httpx.AsyncClient, opened: Opened, make_key: MakeKey
) -> None:
    live = await make_key(tenant=opened.live.id)
    assert live.startswith("rk_live_")
    seen = (await client.get("/v1/api_keys", headers=bearer(live))).json()["data"]
    assert [key["public_id"] for key in seen] == [live[8:20]]


# ── what keys do ─────────────────────────────────────────────────────────────────────────────────


async def test_only_a_hash_of_the_key_is_stored(client: httpx.AsyncClient, owner: Owner) -> None:
    request = {"name": "x", "scopes": ["events:read"]}
    created = await client.post("/v1/api_keys", json=request, headers={"Idempotency-Key": "once"})
    secret = created.json()["secret"]
    for table in ("api_keys", "key_directory", "idempotency_answers", "events"):
        stored = await owner.fetchval(f"SELECT string_agg(t::text, '|') FROM {table} AS t")
        assert secret[20:] not in stored
        assert secret.encode().hex() not in stored


async def test_a_key_cannot_give_what_it_does_not_have(
    anonymous: httpx.AsyncClient, make_key: MakeKey
) -> None:
    weak = await make_key(frozenset({"api_keys:write", "events:read"}))
    within = await anonymous.post(
        "/v1/api_keys", json={"name": "x", "scopes": ["events:read"]}, headers=bearer(weak)
    )
    beyond = await anonymous.post(
        "/v1/api_keys", json={"name": "x", "scopes": ["finance"]}, headers=bearer(weak)
    )
    assert within.status_code == 201
    assert (beyond.status_code, beyond.json()["code"]) == (422, "scope_beyond_own")


async def test_a_key_cannot_be_rotated_into_more_than_one_has(
    client: httpx.AsyncClient, make_key: MakeKey
) -> None:
    """Rotating shows a new secret: of a stronger key, that would be a way to its scopes."""
    strong = (await client.post("/v1/api_keys", json={"name": "x", "scopes": ["finance"]})).json()
    weak = await make_key(frozenset({"api_keys:write"}))
    answer = await client.post(f"/v1/api_keys/{strong['id']}/rotate", headers=bearer(weak))
    assert (answer.status_code, answer.json()["code"]) == (422, "scope_beyond_own")


async def test_rotation_overlaps(client: httpx.AsyncClient) -> None:
    old = (await client.post("/v1/api_keys", json={"name": "x", "scopes": ["api_keys:read"]})).json()
    new = await client.post(f"/v1/api_keys/{old['id']}/rotate", json={"overlap_seconds": 60})
    assert new.status_code == 201
    assert new.json()["scopes"] == ["api_keys:read"]
    assert await code_of(client, old["secret"]) == (200, None)
    assert await code_of(client, new.json()["secret"]) == (200, None)


async def test_rotation_without_overlap_ends_the_old_key_at_once(client: httpx.AsyncClient) -> None:
    old = (await client.post("/v1/api_keys", json={"name": "x", "scopes": ["api_keys:read"]})).json()
    assert (await client.post(f"/v1/api_keys/{old['id']}/rotate")).status_code == 201
    assert await code_of(client, old["secret"]) == (401, "key_expired")
    again = await client.post(f"/v1/api_keys/{old['id']}/rotate")
    assert (again.status_code, again.json()["code"]) == (409, "api_key_not_active")


async def test_every_change_of_a_key_is_an_event(client: httpx.AsyncClient) -> None:
    created = (await client.post("/v1/api_keys", json={"name": "x", "scopes": ["events:read"]})).json()
    await client.post(f"/v1/api_keys/{created['id']}/rotate")
    await client.post(f"/v1/api_keys/{created['id']}/revoke")
    events = (await client.get("/v1/events")).json()["data"]
    assert [e["type"] for e in events] == ["api_key.revoked", "api_key.rotated", "api_key.created"]
    assert {e["data"]["api_key_id"] for e in events} == {created["id"]}
    one = (await client.get(f"/v1/events/{events[0]['id']}")).json()
    assert one == events[0]
    typed = (await client.get("/v1/events?type=api_key.created")).json()["data"]
    assert typed == events[2:]


async def test_last_use_is_written_later_and_at_shutdown(
    settings: Settings, make_key: MakeKey, owner: Owner
) -> None:
    key = await make_key()
    statement = "SELECT last_used_at FROM api_keys WHERE public_id = $1"
    async with client_for(create_app(settings)) as client:
        assert await code_of(client, key) == (200, None)
        assert await owner.fetchval(statement, key[8:20]) is None
    assert await owner.fetchval(statement, key[8:20]) is not None


async def test_lists_are_newest_first_and_whole(client: httpx.AsyncClient) -> None:
    for n in range(5):
        await client.post("/v1/api_keys", json={"name": f"{n}", "scopes": ["events:read"]})
    names: list[str] = []
    cursor = ""
    while True:
        page = (await client.get(f"/v1/api_keys?limit=2{cursor}")).json()
        names += [key["name"] for key in page["data"]]
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert names == ["4", "3", "2", "1", "0", "A key"]


def test_groups_hold_only_scopes_that_exist() -> None:
    assert all(group <= scopes.ALL for group in scopes.GROUPS.values())


async def test_the_demo_tenant_is_made_once_and_its_key_goes_on_working(
    pool: Pool, settings: Settings, anonymous: httpx.AsyncClient
) -> None:
    first = await demo_tenant(pool, settings, now=clock.now())
    again = await demo_tenant(pool, settings, now=clock.now(), known_key=first.api_key)
    lost = await demo_tenant(pool, settings, now=clock.now())
    assert again == first
    assert lost.tenant == first.tenant
    assert await code_of(anonymous, first.api_key) == (200, None)
    assert await code_of(anonymous, lost.api_key) == (200, None)


def test_every_resource_of_a_scope_has_an_operation() -> None:
    """A scope for what does not exist yet would be a promise."""
    used = {handler.opt["operation"].scope.partition(":")[0] for handler in OPERATIONS}
    assert used == set(scopes.RESOURCES)


async def test_a_key_that_was_rotated_is_not_rotated_again(client: httpx.AsyncClient) -> None:
    """Its end would be taken for its length of life, and the second successor would die with it."""
    key = (await client.post("/v1/api_keys", json={"name": "x", "scopes": ["events:read"]})).json()
    path = f"/v1/api_keys/{key['id']}/rotate"
    first = (await client.post(path, json={"overlap_seconds": 3600})).json()

    again = await client.post(path, json={"overlap_seconds": 3600})

    assert first["expires_at"] is None
    assert (again.status_code, again.json()["code"]) == (409, "api_key_rotated")
    assert first["id"] in again.json()["detail"]
    assert (await client.get(f"/v1/api_keys/{key['id']}")).json()["successor_id"] == first["id"]


async def test_a_key_makes_no_key_that_outlives_it(client: httpx.AsyncClient) -> None:
    end = "2099-01-01T00:00:00Z"
    asked = {"name": "x", "scopes": ["api_keys:read", "api_keys:write"], "expires_at": end}
    mortal = (await client.post("/v1/api_keys", json=asked)).json()
    child = {"name": "y", "scopes": ["api_keys:read"]}

    async def made(**more: str) -> httpx.Response:
        return await client.post("/v1/api_keys", json={**child, **more}, headers=bearer(mortal["secret"]))

    assert (await made()).json()["expires_at"] == end
    assert (await made(expires_at="2098-01-01T00:00:00Z")).status_code == 201
    assert (await made(expires_at="2099-01-01T00:00:01Z")).json()["code"] == "expiry_beyond_own"
