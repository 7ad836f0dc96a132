"""What happens to customers."""

from billing.parties.model import CustomerId
from kernel.events import Event


class CustomerCreated(Event, frozen=True, kw_only=True, tag="customer.created"):
    customer_id: CustomerId


class CustomerChanged(Event, frozen=True, kw_only=True, tag="customer.changed"):
    customer_id: CustomerId
