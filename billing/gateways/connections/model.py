"""A payment connection: the account of a tenant at a payment provider, and the keys to it.

checking ──▶ connected ──▶ disconnected
   │  ▲                        ▲
   ▼  │                        │
 refused ──────────────────────┘   (so may one that is being checked be)

A key is used once the provider has let it in. One that replaces another must open the same account; until
then, and when it does not, the one before goes on working.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import ClassVar, Self

from kernel.ids import Id
from kernel.structs import Input, Value

MOST_WEBHOOK_SECRETS = 5


class PaymentConnectionId(Id, prefix="pcx"):
    """An account at a payment provider."""


class WebhookSecretId(Id, prefix="pws"):
    """What a provider signs its events with."""


class Provider(StrEnum):
    STRIPE = "stripe"


class Status(StrEnum):
    CHECKING = "checking"
    CONNECTED = "connected"
    REFUSED = "refused"
    DISCONNECTED = "disconnected"


NEXT: dict[Status, frozenset[Status]] = {
    Status.CHECKING: frozenset({Status.CONNECTED, Status.REFUSED, Status.DISCONNECTED}),
    Status.CONNECTED: frozenset({Status.DISCONNECTED}),
    Status.REFUSED: frozenset({Status.CHECKING, Status.DISCONNECTED}),
    Status.DISCONNECTED: frozenset(),
}


class SecretKey(str):
    """A secret or restricted key of Stripe. No sentence of ours repeats it."""

    __slots__ = ()
    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "pattern": "^(sk|rk)_(live|test)_[A-Za-z0-9_]{8,240}$",
        "writeOnly": True,
        "description": "A secret or restricted key. It is encrypted and never shown again.",
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        if not re.fullmatch(r"(sk|rk)_(live|test)_[A-Za-z0-9_]{8,240}", text):
            raise ValueError("A secret key of Stripe begins with sk_live_, sk_test_, rk_live_ or rk_test_")
        return cls(text)

    @property
    def is_live(self) -> bool:
        return self[3:7] == "live"

    @property
    def hint(self) -> str:
        return f"{self[:8]}…{self[-4:]}"

    def __repr__(self) -> str:
        return "SecretKey(…)"


class WebhookSigningSecret(str):
    """What Stripe signs the events of one webhook endpoint with."""

    __slots__ = ()
    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "pattern": "^whsec_[A-Za-z0-9+/=_-]{8,240}$",
        "writeOnly": True,
        "description": "The signing secret of a webhook endpoint. It is encrypted and never shown again.",
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        if not re.fullmatch(r"whsec_[A-Za-z0-9+/=_\-]{8,240}", text):
            raise ValueError("The signing secret of a webhook endpoint begins with whsec_")
        return cls(text)

    @property
    def hint(self) -> str:
        return f"…{self[-4:]}"

    def __repr__(self) -> str:
        return "WebhookSigningSecret(…)"


class WebhookSecret(Value, frozen=True, kw_only=True):
    id: WebhookSecretId
    hint: str
    created_at: datetime


class PaymentConnection(Value, frozen=True, kw_only=True):
    """`account` is the provider's name of it, `problem` why the newest key is not used.

    Have the provider post its events to `webhook_path`.
    """

    id: PaymentConnectionId
    provider: Provider
    status: Status
    account: str | None
    key_hint: str
    problem: str | None
    webhook_path: str
    webhook_secrets: tuple[WebhookSecret, ...]
    created_at: datetime
    checked_at: datetime | None


class NewPaymentConnection(Input, frozen=True, kw_only=True):
    """A live tenant takes a live key, a test tenant a test key."""

    secret_key: SecretKey
    provider: Provider = Provider.STRIPE
    webhook_secret: WebhookSigningSecret | None = None


class PaymentConnectionChange(Input, frozen=True, kw_only=True):
    """Another key to the same account."""

    secret_key: SecretKey


class NewWebhookSecret(Input, frozen=True, kw_only=True):
    """One more secret by which events may be signed: two overlap while one replaces the other."""

    secret: WebhookSigningSecret


class Keys(Value, frozen=True, kw_only=True):
    """The encrypted keys of a connection, as the database has them."""

    id: PaymentConnectionId
    provider: Provider
    status: Status
    account: str | None
    secret_key: bytes | None
    next_secret_key: bytes | None


class Choice(Value, frozen=True, kw_only=True):
    """What a charge or refund may go through: the sandbox, or a connection, or nothing yet.

    `gateway` is the one it has gone through already, if it has.
    """

    gateway: str | None
    is_live: bool
    keys: Keys | None
