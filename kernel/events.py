"""An event is something that happened, in the past tense: `invoice.issued`.

Each package declares its own in `events.py` as `class InvoiceIssued(Event, tag="invoice.issued")`; the
tag is the type on the wire, the fields are its data.
"""

import msgspec


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type", gc=False):
    """Ids and facts, never a whole resource: who wants more reads it."""


def type_of(event: Event | type[Event]) -> str:
    return str(event.__struct_config__.tag)
