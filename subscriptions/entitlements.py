"""What a customer may use."""

from collections.abc import Iterable

from billing.parties import store as parties
from billing.parties.model import CustomerId
from kernel.database import Tx
from subscriptions import store
from subscriptions.model import Grant, Grants


async def grants_of(tx: Tx, key: str | CustomerId) -> Grants:
    customer = await parties.customer(tx, key)
    given = await store.entitlements(tx, customer.id)
    return Grants(customer_id=customer.id, features=merged(given))


def merged(given: Iterable[dict[str, Grant]]) -> dict[str, Grant]:
    """The best of each feature: the higher limit beats the lower, and without a limit beats both."""
    features: dict[str, Grant] = {}
    for grants in given:
        for feature, grant in grants.items():
            features[feature] = max(features.get(feature, grant), grant, key=_rank)
    return features


def _rank(grant: Grant) -> tuple[bool, int, bool]:
    """A limit of zero is a limit still: whatever the order, the same grant is the best."""
    return grant is True, grant, grant is not False
