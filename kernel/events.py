"""An event is something that happened, in the past tense: `invoice.issued`.

Each package declares its own in `events.py` as `class InvoiceIssued(Event, tag="invoice.issued")`; the
tag is the type on the wire, the fields are its data.
"""

from functools import cache
from typing import ClassVar, get_args

import msgspec

from kernel.ids import Id


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    """Ids and facts, never a whole resource: who wants more reads it.

    It stands in the activity log of every document it names. One that `begins` is a document's first.
    """

    begins: ClassVar[bool] = False


def type_of(event: Event | type[Event]) -> str:
    return str(event.__struct_config__.tag)


def documents_of(event: Event) -> set[Id]:
    """What it is about, of the kinds whose activity is logged."""
    named = {getattr(event, name) for name in _naming(type(event))}
    return {document for document in named if document is not None}


@cache
def _naming(kind: type[Event]) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in msgspec.structs.fields(kind)
        if any(_is_logged(each) for each in (field.type, *get_args(field.type)))
    )


def _is_logged(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, Id) and getattr(kind, "logged", False)
