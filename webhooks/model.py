"""A provider event is what a payment provider tells us: that something happened to one of its objects.

waiting ──▶ handled
   │  ▲
   ▼  │
 parked                (its job was given up: a person looks, and has it tried again)

ignored                (nothing of ours follows from events of this type)

It is a reason to look and no more: what it says of the object may be old when it comes. So nothing is kept of
it but which object it is about, and that object's state is asked of the provider.
"""

from datetime import datetime
from enum import StrEnum
from typing import Annotated

import msgspec

from billing.gateways.connections.model import PaymentConnectionId
from kernel.errors import Invalid
from kernel.ids import Id, JobId
from kernel.structs import Value

# A provider's name for something: what is longer or stranger is no such name.
Name = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_.:-]{1,255}\Z")]


class ProviderEventId(Id, prefix="pev"):
    """A provider event in our inbox."""


class ObjectKind(StrEnum):
    """What of a provider's we follow."""

    CHARGE = "charge"
    REFUND = "refund"
    DISPUTE = "dispute"
    CHECKOUT = "checkout"


class Status(StrEnum):
    WAITING = "waiting"  # to be looked at
    HANDLED = "handled"  # the object was looked up, and ours moved where it had
    IGNORED = "ignored"  # nothing follows from it
    PARKED = "parked"  # it failed so often that a person has to look


class Told(Value, frozen=True, kw_only=True):
    """What of a provider event is believed, once its signature was checked."""

    reference: str
    type: str
    kind: ObjectKind | None
    object_reference: str
    happened_at: datetime


class ProviderEvent(Value, frozen=True, kw_only=True):
    """`reference` is the provider's id of the event, `object_reference` that of what it is about.

    `attempts`, `last_error` and `next_try_at` are of the job that looks the object up, as far as it is kept.
    """

    id: ProviderEventId
    provider: str
    payment_connection_id: PaymentConnectionId
    reference: str
    type: str
    kind: ObjectKind | None
    object_reference: str
    status: Status
    happened_at: datetime
    received_at: datetime
    handled_at: datetime | None
    job_id: JobId | None
    attempts: int
    last_error: str | None
    next_try_at: datetime | None


class ProviderObject(Value, frozen=True, kw_only=True):
    """One of a provider's objects, as we name it to look it up."""

    kind: ObjectKind
    reference: str


def unreadable() -> Invalid:
    return Invalid("provider_event_unreadable", "The body is signed, and is no event of this provider.")
