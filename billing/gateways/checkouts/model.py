"""A checkout session: a page of the payment provider's on which a customer leaves a payment method.

open ──▶ completed
  └────▶ expired      (by itself, a day after it was made)

We give out a link of our own, and the provider is asked for its page when somebody follows it: so nothing
foreign happens while the session is made, and nothing of a card ever comes to us.
"""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Self
from urllib.parse import urlsplit

from billing.gateways.connections.model import PaymentConnectionId
from billing.parties.model import CustomerId
from kernel.ids import Id
from kernel.money import Currency
from kernel.structs import Input, Value

LASTS = timedelta(hours=23)  # the provider's page lasts for a day


class CheckoutSessionId(Id, prefix="pcs"):
    """A page on which a customer leaves a payment method."""


class Status(StrEnum):
    OPEN = "open"
    COMPLETED = "completed"
    EXPIRED = "expired"


class WebAddress(str):
    """Where a customer is sent back to."""

    __slots__ = ()
    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "format": "uri",
        "maxLength": 2000,
        "examples": ["https://app.example/billing"],
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        if len(text) > 2000 or not re.fullmatch(r"https?://[!-~]+", text) or not _has_host(text):
            raise ValueError("An address begins with https:// or http:// and a host, 2000 characters at most")
        return cls(text)


def _has_host(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return bool(parts.hostname) and "@" not in parts.netloc and (parts.port is None or parts.port > 0)
    except ValueError:
        return False


class NewCheckoutSession(Input, frozen=True, kw_only=True):
    """Payment methods are offered that can pay in the `currency`."""

    success_url: WebAddress
    cancel_url: WebAddress
    currency: Currency = Currency("EUR")


class Session(Value, frozen=True, kw_only=True):
    """`reference` is the provider's id of its page, once somebody has followed the link."""

    id: CheckoutSessionId
    customer_id: CustomerId
    connection_id: PaymentConnectionId
    currency: Currency
    success_url: str
    cancel_url: str
    status: Status
    reference: str | None
    payment_method: str | None
    created_at: datetime
    expires_at: datetime
    completed_at: datetime | None


class CheckoutSession(Value, frozen=True, kw_only=True):
    """Send the customer to `url` within the day. `payment_method` is what they left there."""

    id: CheckoutSessionId
    customer_id: CustomerId
    url: str
    status: Status
    success_url: str
    cancel_url: str
    payment_method: str | None
    created_at: datetime
    expires_at: datetime
    completed_at: datetime | None
