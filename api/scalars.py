"""Our own kinds of text (ids, currencies, rates …), as the framework meets them in paths and queries."""

from typing import TypeGuard

from kernel.structs import from_wire


def is_scalar(kind: object) -> TypeGuard[type]:
    return isinstance(kind, type) and hasattr(kind, "parse") and hasattr(kind, "schema")


TYPE_DECODERS = [(is_scalar, from_wire)]
