"""The target of a request, before anything reads it: its path and its query."""

from collections.abc import Mapping
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from kernel.errors import Invalid


def check_path(raw: bytes) -> None:
    """No half-encoded text and no control characters, however well escaped."""
    if _text_of(unquote_to_bytes(raw)) is None:
        raise Invalid("path_invalid", "The path holds bytes that are no text in UTF-8.")


def check_query(raw: bytes, known: Mapping[str, bool]) -> None:
    """Refuse a parameter that nobody reads. `known` says of each whether it may come again."""
    seen: set[str] = set()
    for pair in filter(None, raw.split(b"&")):
        name, _, _value = (_decoded(part) for part in pair.partition(b"="))
        if name not in known:
            _unknown(name, known)
        if name in seen and not known[name]:
            raise Invalid("parameter_repeated", f"The parameter {name} stands twice.", param=name)
        seen.add(name)


def _decoded(part: bytes) -> str:
    text = _text_of(unquote_to_bytes(part.replace(b"+", b" ")))
    if text is None:
        raise Invalid("parameter_invalid", "The query holds bytes that are no text in UTF-8.")
    return text


def _text_of(raw: bytes) -> str | None:
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return None
    return None if any(character < " " or character == "\x7f" for character in text) else text


def _unknown(name: str, known: Mapping[str, bool]) -> NoReturn:
    choice = f"It takes {', '.join(sorted(known))}." if known else "It takes none."
    raise Invalid(
        "parameter_unknown",
        f"This operation has no parameter {name[:64]!r}. {choice}",
        param=name[:64],
    )
