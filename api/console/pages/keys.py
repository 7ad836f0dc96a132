"""API keys: the one thing that is made in the console so far. By the verbs of the API, with every scope."""

from datetime import datetime

from litestar import Response
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from api.access import scopes, store
from api.access.create_key import create_key
from api.access.key_text import Hasher
from api.access.model import ApiKey, ApiKeyId, CreatedApiKey
from api.access.revoke_key import revoke_key
from api.access.rotate_key import rotate_key
from api.console import key_form, once
from api.console.access.keyed import chance
from api.console.access.model import Refused
from api.console.declare import act, page
from api.console.forms import Form
from api.console.here import Here
from api.console.pages.answers import see_other
from api.console.views import show
from kernel.database import Tx
from kernel.paging import Window

Answer = Response[bytes] | Template


@page("/console/{tenant_id}/keys")
async def list_keys(
    tx: NamedDependency[Tx],
    window: NamedDependency[Window],
    here: NamedDependency[Here],
    now: NamedDependency[datetime],
) -> Template:
    return show(here, "keys/list.html", page=await store.page(tx, window), now=now)


@page("/console/{tenant_id}/keys/new")
async def new_key(here: NamedDependency[Here]) -> Template:
    return _new_key(here, Form({"task": ["signup_backend"]}))


@act("/console/{tenant_id}/keys/new")
async def create(
    tx: NamedDependency[Tx],
    here: NamedDependency[Here],
    form: NamedDependency[Form],
    hasher: NamedDependency[Hasher],
    now: NamedDependency[datetime],
) -> Answer:
    made = await once.made_before(tx, form)
    if made is not None:
        return see_other(f"{here.to('keys', made)}?again=1")
    try:
        request = key_form.read_new_key(form, now=now)
    except Refused as refusal:
        return _new_key(here, form, refusal=refusal)
    created = await create_key(tx, request, own_scopes=scopes.ALL, hasher=hasher, now=now)
    once.remember(tx, form, created.id)
    return _made(here, created, old=None)


@page("/console/{tenant_id}/keys/{api_key_id}")
async def one_key(
    tx: NamedDependency[Tx],
    api_key_id: FromPath[ApiKeyId],
    here: NamedDependency[Here],
    now: NamedDependency[datetime],
    again: FromQuery[str] = "",
) -> Template:
    """`again` is for whoever comes from a form that was sent before."""
    key = await store.get(tx, api_key_id)
    return show(
        here,
        "keys/key.html",
        key=key,
        refusal=once.MADE if again else None,
        now=now,
        once=chance(),
        overlaps=key_form.OVERLAPS,
        resources=scopes.RESOURCES,
    )


@act("/console/{tenant_id}/keys/{api_key_id}/rotate")
async def rotate(
    tx: NamedDependency[Tx],
    api_key_id: FromPath[ApiKeyId],
    here: NamedDependency[Here],
    form: NamedDependency[Form],
    hasher: NamedDependency[Hasher],
    now: NamedDependency[datetime],
) -> Answer:
    made = await once.made_before(tx, form)
    if made is not None:
        return see_other(f"{here.to('keys', made)}?again=1")
    request = key_form.read_rotation(form)
    created = await rotate_key(tx, api_key_id, request, own_scopes=scopes.ALL, hasher=hasher, now=now)
    once.remember(tx, form, created.id)
    return _made(here, created, old=await store.get(tx, api_key_id))


@page("/console/{tenant_id}/keys/{api_key_id}/revoke")
async def ask_to_revoke(
    tx: NamedDependency[Tx], api_key_id: FromPath[ApiKeyId], here: NamedDependency[Here]
) -> Template:
    return show(here, "keys/revoke.html", key=await store.get(tx, api_key_id))


@act("/console/{tenant_id}/keys/{api_key_id}/revoke")
async def revoke(
    tx: NamedDependency[Tx],
    api_key_id: FromPath[ApiKeyId],
    here: NamedDependency[Here],
    now: NamedDependency[datetime],
) -> Response[bytes]:
    await revoke_key(tx, api_key_id, now=now)
    return see_other(here.to("keys"))


def _made(here: Here, key: CreatedApiKey, *, old: ApiKey | None) -> Template:
    first_path = key_form.first_path(key.scopes)
    return show(here, "keys/made.html", status=201, key=key, old=old, first_path=first_path)


def _new_key(here: Here, form: Form, *, refusal: Refused | None = None) -> Template:
    return show(
        here,
        "keys/new.html",
        status=200 if refusal is None else refusal.status,
        form=form,
        once=form.text(once.FIELD) or chance(),
        tasks=scopes.TASKS,
        one_by_one=key_form.ONE_BY_ONE,
        resources=scopes.RESOURCES,
        lives=key_form.LIVES,
        refusal=None if refusal is None else refusal.sentence,
    )


ROUTES = [list_keys, new_key, create, one_key, rotate, ask_to_revoke, revoke]
