"""How pages are made: templates that escape everything, and the words for values on them.

Times are shown in UTC and say so; the days of a document are those it was issued with.
"""

import hashlib
from collections.abc import Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template

from api.access import scopes
from api.console import key_form
from api.console.here import NAVIGATION, Here
from billing.documents.formats import Formats
from billing.parties.model import Language
from kernel.money import Money

FOLDER = Path(__file__).parent
ASSETS = {
    path.name: path.read_bytes()
    for path in sorted((FOLDER / "assets").iterdir())
    if path.suffix in (".css", ".js", ".svg")
}
_FORMATS = Formats(Language.ENGLISH)


def engine(base_url: str) -> JinjaTemplateEngine:
    environment = Environment(
        loader=FileSystemLoader(FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "money": money,
        "day": day,
        "moment": moment,
        "clock": clock,
        "words": words,
        "scope_words": scope_words,
        "key_state": key_form.state_of,
    }
    environment.globals |= {"asset": asset, "navigation": NAVIGATION, "base_url": base_url}
    return JinjaTemplateEngine.from_environment(environment)


def show(here: Here, template: str, *, status: int = 200, **context: Any) -> Template:
    return Template(template, context={"here": here, **context}, status_code=status)


def asset(name: str) -> str:
    """Its address, which changes with its content: a browser may keep it for ever."""
    return f"/console/assets/{name}?{_DIGESTS[name]}"


def money(amount: Money) -> str:
    return _FORMATS.money(amount)


def day(value: date) -> str:
    return _FORMATS.short_date(value)


def moment(at: datetime) -> str:
    """To the minute: `23 Nov 2026, 15:42`."""
    return f"{_FORMATS.short_date(at.date())}, {at:%H:%M}"


def clock(at: datetime) -> str:
    """For machines."""
    return at.isoformat(timespec="seconds")


def words(value: object) -> str:
    """`partly_settled` as people write it: `Partly settled`."""
    text = str(value).replace("_", " ").replace(".", " ")
    return (text[:1].upper() + text[1:]).replace("Api ", "API ")


def scope_words(granted: list[str]) -> str:
    """The task a key was made for, or how many things it may do."""
    for name, group in scopes.GROUPS.items():
        if group == frozenset(granted):
            return scopes.TASKS[name][0]
    return granted[0] if len(granted) == 1 else f"{len(granted)} scopes"


_DIGESTS: Mapping[str, str] = {
    name: hashlib.sha256(content).hexdigest()[:12] for name, content in ASSETS.items()
}
