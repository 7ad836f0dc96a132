"""What the forms about API keys ask for. Pure."""

from datetime import datetime, timedelta

from api.access import scopes
from api.access.model import ApiKey, NewApiKey, Rotation
from api.access.scopes import Scope
from api.console.access.model import Refused
from api.console.forms import Form
from kernel.structs import Value
from kernel.text import Name

# What a new key is tried with: the list of a resource that it may read. Entitlements have none.
TRIED_FIRST = ("plans", "invoices", "customers", "subscriptions", "events")
WITHOUT_A_LIST = frozenset({"entitlements"})
PATHS = {"ledger": "ledger_entries"}
ONE_BY_ONE = "one_by_one"
ENDS_SOON = timedelta(days=14)

# How long, in the words of a menu: days of life, seconds of overlap.
LIVES = (("", "Never"), ("30", "In 30 days"), ("90", "In 90 days"), ("365", "In a year"))
OVERLAPS = (
    ("0", "No overlap: the old key stops now"),
    ("3600", "1 hour"),
    ("86400", "1 day"),
    ("604800", "7 days"),
)


class State(Value, frozen=True):
    """How a key stands, and in which colour that is told."""

    word: str
    tone: str


def read_new_key(form: Form, *, now: datetime) -> NewApiKey:
    try:
        name = Name.parse(form.text("name"))
        wanted = [Scope.parse(scope) for scope in _wanted(form)]
    except ValueError as error:
        raise Refused(422, f"{error}.") from None
    if not wanted:
        raise Refused(422, "Choose what the key is for, or at least one scope.")
    return NewApiKey(name=name, scopes=wanted, expires_at=_expiry(form, now=now))


def read_rotation(form: Form) -> Rotation:
    return Rotation(overlap_seconds=int(_chosen(form.text("overlap"), OVERLAPS)))


def state_of(key: ApiKey, *, now: datetime) -> State:
    if key.revoked_at is not None:
        return State("Revoked", "quiet")
    if key.expires_at is None:
        return State("Active", "good")
    if key.expires_at <= now:
        return State("Expired", "quiet")
    return State("Ends soon", "warn") if key.expires_at <= now + ENDS_SOON else State("Active", "good")


def first_path(granted: list[str]) -> str | None:
    """What a new key may ask for. None when it reads nothing."""
    for resource in (*TRIED_FIRST, *scopes.RESOURCES):
        if resource not in WITHOUT_A_LIST and f"{resource}:read" in granted:
            return f"/v1/{PATHS.get(resource, resource)}"
    return None


def _wanted(form: Form) -> list[str]:
    task = form.text("task")
    if task == ONE_BY_ONE:
        return [scope for scope in form.all("scope") if scope in scopes.ALL]
    return [task] if task in scopes.GROUPS else []


def _expiry(form: Form, *, now: datetime) -> datetime | None:
    days = _chosen(form.text("life"), LIVES)
    return now + timedelta(days=int(days)) if days else None


def _chosen(value: str, menu: tuple[tuple[str, str], ...]) -> str:
    if value not in dict(menu):
        raise Refused(422, "Choose one of the times in the menu.")
    return value
