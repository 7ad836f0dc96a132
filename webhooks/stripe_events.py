"""Reading a Stripe event: which object it is about, and whether anything of ours follows from it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

from kernel.structs import Value
from webhooks.model import Name, ObjectKind, Told, unreadable

# What an endpoint has to subscribe to. docs/operations says the same, and a test compares.
EVENTS: Mapping[str, ObjectKind] = {
    "payment_intent.succeeded": ObjectKind.CHARGE,
    "payment_intent.payment_failed": ObjectKind.CHARGE,
    "payment_intent.canceled": ObjectKind.CHARGE,
    "payment_intent.processing": ObjectKind.CHARGE,
    "refund.created": ObjectKind.REFUND,
    "refund.updated": ObjectKind.REFUND,
    "refund.failed": ObjectKind.REFUND,
    "charge.refund.updated": ObjectKind.REFUND,
    "charge.dispute.created": ObjectKind.DISPUTE,
    "charge.dispute.updated": ObjectKind.DISPUTE,
    "charge.dispute.closed": ObjectKind.DISPUTE,
    "charge.dispute.funds_withdrawn": ObjectKind.DISPUTE,
    "charge.dispute.funds_reinstated": ObjectKind.DISPUTE,
    "checkout.session.completed": ObjectKind.CHECKOUT,
}

T = TypeVar("T", bound=msgspec.Struct)

_LATEST = 253_402_300_799  # the last second of the year 9999


class _Object(Value, frozen=True, kw_only=True):
    id: Name


class _Data(Value, frozen=True, kw_only=True):
    object: _Object


class _Event(Value, frozen=True, kw_only=True):
    id: Name
    type: Name
    created: Annotated[int, msgspec.Meta(ge=0, le=_LATEST)]
    data: _Data


class _Other(Value, frozen=True, kw_only=True):
    """Of a type that we do not follow: its object may have no id (`balance.available`)."""

    id: Name
    type: Name
    created: Annotated[int, msgspec.Meta(ge=0, le=_LATEST)]


def read(body: bytes) -> Told:
    """Raises Invalid `provider_event_unreadable` for whatever is no event."""
    other = _decode(body, _Other)
    happened_at = datetime.fromtimestamp(other.created, UTC)
    kind = EVENTS.get(other.type)
    return Told(
        reference=other.id,
        type=other.type,
        kind=kind,
        object_reference=_decode(body, _Event).data.object.id if kind else "",
        happened_at=happened_at,
    )


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        body.decode()
        return msgspec.json.decode(body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise unreadable() from None
