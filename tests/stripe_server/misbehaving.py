"""The faults that can be ordered of the server."""

from enum import StrEnum


class Fault(StrEnum):
    """What becomes of one request, and of its answer."""

    LOST = "lost"  # it is carried out, and nobody hears of it
    DROPPED = "dropped"  # it never arrives, and nobody hears of that either
    BROKEN_AFTER = "broken_after"  # it is carried out, and answered by a 500
    BROKEN_BEFORE = "broken_before"  # it is not carried out, and answered by a 500
    IN_USE = "in_use"  # another request with this idempotency key is under way: 409
    BUSY = "busy"  # too many requests: 429


EXECUTED = frozenset({Fault.LOST, Fault.BROKEN_AFTER})
