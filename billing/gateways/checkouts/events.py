"""What happens around checkout sessions."""

from billing.gateways.checkouts.model import CheckoutSessionId
from billing.parties.model import CustomerId
from kernel.events import Event


class CheckoutSessionCreated(Event, frozen=True, kw_only=True, tag="checkout_session.created"):
    checkout_session_id: CheckoutSessionId
    customer_id: CustomerId


class PaymentMethodSaved(Event, frozen=True, kw_only=True, tag="payment_method.saved"):
    """The customer left it at the provider; it is charged from here on."""

    customer_id: CustomerId
    checkout_session_id: CheckoutSessionId | None
    payment_method: str
