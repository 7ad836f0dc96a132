"""API keys, made and ended in the console."""

import re

import httpx
import pytest

from api import clock
from api.access import scopes
from api.access.create_tenant import Opened
from api.console import key_form, once
from api.console.forms import Form
from kernel.database import transaction
from tests.console.browser import Browser, Office, secret_of

FINANCE = {"name": "Books", "task": "finance", "life": ""}


@pytest.fixture
def keys(opened: Opened) -> str:
    return f"/console/{opened.test.id}/keys"


async def status_of(client: httpx.AsyncClient, secret: str, path: str = "/v1/invoices") -> int:
    return (await client.get(path, headers={"authorization": f"Bearer {secret}"})).status_code


def id_of(page: str, path: str) -> str:
    return page.split(f'href="{path}/key_')[1].split('"', maxsplit=1)[0].split("#", maxsplit=1)[0]


async def test_a_key_made_here_opens_the_api(admin: Browser, keys: str) -> None:
    made = await admin.post(f"{keys}/new", **FINANCE)

    assert made.status_code == 201
    secret = secret_of(made.text)
    assert secret.startswith("rk_test_")
    assert await status_of(admin.http, secret) == 200
    assert await status_of(admin.http, secret, "/v1/api_keys") == 403
    assert secret not in (await admin.get(keys)).text


@pytest.mark.parametrize("scope", sorted(scopes.READ))
async def test_what_a_new_key_is_tried_with_it_may_do(admin: Browser, keys: str, scope: str) -> None:
    made = await admin.post(f"{keys}/new", name="One", task=key_form.ONE_BY_ONE, scope=[scope], life="")
    path = re.search(r"curl http://test(\S+) ", made.text)
    assert (path is None) == (scope == "entitlements:read")
    if path is not None:
        assert await status_of(admin.http, secret_of(made.text), path[1]) == 200
        assert "=…" not in made.text


async def test_a_key_that_reads_nothing_is_not_tried(admin: Browser, keys: str) -> None:
    fields = {"name": "Writes", "task": key_form.ONE_BY_ONE, "life": ""}
    made = await admin.post(f"{keys}/new", scope=["plans:write"], **fields)
    assert (made.status_code, "Try it" in made.text) == (201, False)


async def test_a_live_key_is_made_in_live_mode(admin: Browser, opened: Opened) -> None:
    made = await admin.post(f"/console/{opened.live.id}/keys/new", **FINANCE)
    assert secret_of(made.text).startswith("rk_live_")


async def test_sending_the_form_again_makes_nothing_and_shows_nothing(admin: Browser, keys: str) -> None:
    form = {"csrf": await admin.token(), "once": "C" * 43, **FINANCE}
    made = await admin.send(f"{keys}/new", {**form})
    again = await admin.send(f"{keys}/new", {**form})

    assert (made.status_code, again.status_code) == (201, 303)
    assert again.headers["location"].startswith(f"{keys}/key_")
    shown = (await admin.get(again.headers["location"])).text
    assert once.MADE in shown
    assert secret_of(made.text) not in shown
    assert once.MADE not in (await admin.get(again.headers["location"].partition("?")[0])).text
    assert (await admin.get(keys)).text.count("Books</a>") == 1


async def test_a_form_that_is_still_running_is_told_to_a_person(
    admin: Browser, keys: str, opened: Opened, office: Office
) -> None:
    form = {"csrf": await admin.token(), "once": "E" * 43, **FINANCE}
    async with transaction(office.pool, opened.test.id, now=clock.now()) as tx:
        assert await once.made_before(tx, Form({"once": ["E" * 43]})) is None
        answer = await admin.send(f"{keys}/new", {**form})
    assert answer.status_code == 409
    assert once.RUNNING in answer.text
    assert "Idempotency" not in answer.text


@pytest.mark.parametrize("task", scopes.GROUPS)
async def test_a_task_gives_its_scopes(admin: Browser, keys: str, task: str) -> None:
    await admin.post(f"{keys}/new", name=task, task=task, life="")
    shown = (await admin.get(f"{keys}/key_{id_of((await admin.get(keys)).text, keys)}")).text
    listed = {scope for scope in scopes.ALL if f"<li><code>{scope}</code></li>" in shown}
    assert listed == scopes.GROUPS[task]


def test_every_group_is_told_to_people() -> None:
    assert scopes.TASKS.keys() == scopes.GROUPS.keys()


async def test_scopes_are_chosen_one_by_one(admin: Browser, keys: str) -> None:
    chosen = ["invoices:read", "plans:read"]
    made = await admin.post(f"{keys}/new", name="Few", task=key_form.ONE_BY_ONE, scope=chosen, life="90")
    assert "2 scopes" in made.text
    assert await status_of(admin.http, secret_of(made.text)) == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ""},
        {"name": "x" * 201},
        {"name": "\u202eevil"},
        {"task": ""},
        {"task": "root"},
        {"task": "one_by_one"},
        {"life": "1e9"},
    ],
)
async def test_a_form_that_is_not_right_says_so_and_keeps_what_was_typed(
    admin: Browser, keys: str, wrong: dict[str, str]
) -> None:
    answer = await admin.post(f"{keys}/new", **{**FINANCE, **wrong})
    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    if "name" not in wrong:
        assert 'value="Books"' in answer.text
    assert "No key yet" in (await admin.get(keys)).text


async def test_rotating_with_an_overlap_both_work_without_only_the_new_one(admin: Browser, keys: str) -> None:
    old = secret_of((await admin.post(f"{keys}/new", **FINANCE)).text)
    page = f"{keys}/key_{id_of((await admin.get(keys)).text, keys)}"

    new = secret_of((await admin.post(f"{page}/rotate", page=page, overlap="3600")).text)
    assert [await status_of(admin.http, secret) for secret in (old, new)] == [200, 200]

    newest_page = f"{keys}/key_{id_of((await admin.get(keys)).text, keys)}"
    newest = secret_of((await admin.post(f"{newest_page}/rotate", page=newest_page, overlap="0")).text)
    assert [await status_of(admin.http, secret) for secret in (old, new, newest)] == [200, 401, 200]


async def test_revoking_asks_first_and_refuses_from_then_on(admin: Browser, keys: str) -> None:
    secret = secret_of((await admin.post(f"{keys}/new", **FINANCE)).text)
    page = f"{keys}/key_{id_of((await admin.get(keys)).text, keys)}"
    assert "Revoke “Books”?" in (await admin.get(f"{page}/revoke")).text
    assert await status_of(admin.http, secret) == 200, "asking revokes nothing"
    assert re.findall(r"<[^>]*\sautofocus[^>]*>([^<]*)<", (await admin.get(f"{page}/revoke")).text) == [
        "Keep it"
    ]

    answer = await admin.post(f"{page}/revoke")
    assert answer.headers["location"] == keys
    assert await status_of(admin.http, secret) == 401
    assert "Revoked" in (await admin.get(page)).text


async def test_a_revoked_key_is_not_rotated(admin: Browser, keys: str) -> None:
    await admin.post(f"{keys}/new", **FINANCE)
    page = f"{keys}/key_{id_of((await admin.get(keys)).text, keys)}"
    form = {"csrf": await admin.token(), "once": "D" * 43, "overlap": "0"}
    await admin.post(f"{page}/revoke")
    answer = await admin.send(f"{page}/rotate", {**form})
    assert answer.status_code == 409
    assert "Make a new one instead" in answer.text


async def test_a_key_of_another_tenant_is_not_here(admin: Browser, opened: Opened, office: Office) -> None:
    test, live = f"/console/{opened.test.id}/keys", f"/console/{opened.live.id}/keys"
    await admin.post(f"{test}/new", **FINANCE)
    key_id = f"key_{id_of((await admin.get(test)).text, test)}"
    assert (await admin.get(f"{live}/{key_id}")).status_code == 404
    assert (await admin.post(f"{live}/{key_id}/revoke", page=f"{live}/new")).status_code == 404


async def test_the_list_goes_on_page_by_page(admin: Browser, keys: str) -> None:
    token = await admin.token()
    for n in range(3):
        fields = {"csrf": token, "once": f"{n}" * 43, **FINANCE, "name": f"Key {n}"}
        assert (await admin.send(f"{keys}/new", {**fields})).status_code == 201
    first = (await admin.get(f"{keys}?limit=2")).text
    assert ("Key 2</a>" in first, "Key 1</a>" in first, "Key 0</a>" in first) == (True, True, False)

    cursor = first.split("?cursor=")[1].split('"')[0]
    second = (await admin.get(f"{keys}?cursor={cursor}")).text
    assert ("Key 1</a>" in second, "Key 0</a>" in second) == (False, True)
    assert '<nav id="more"' in second, "what is not there any more must be swapped away"
    assert "Show more" not in second
