"""What happens to payment connections."""

from billing.gateways.connections.model import PaymentConnectionId, Status, WebhookSecretId
from kernel.events import Event


class PaymentConnectionCreated(Event, frozen=True, kw_only=True, tag="payment_connection.created"):
    payment_connection_id: PaymentConnectionId


class PaymentConnectionKeyChanged(Event, frozen=True, kw_only=True, tag="payment_connection.key_changed"):
    payment_connection_id: PaymentConnectionId


class PaymentConnectionChecked(Event, frozen=True, kw_only=True, tag="payment_connection.checked"):
    payment_connection_id: PaymentConnectionId
    status: Status
    problem: str | None


class PaymentConnectionDisconnected(Event, frozen=True, kw_only=True, tag="payment_connection.disconnected"):
    payment_connection_id: PaymentConnectionId


class WebhookSecretAdded(Event, frozen=True, kw_only=True, tag="payment_connection.webhook_secret_added"):
    payment_connection_id: PaymentConnectionId
    webhook_secret_id: WebhookSecretId


class WebhookSecretRemoved(Event, frozen=True, kw_only=True, tag="payment_connection.webhook_secret_removed"):
    payment_connection_id: PaymentConnectionId
    webhook_secret_id: WebhookSecretId
