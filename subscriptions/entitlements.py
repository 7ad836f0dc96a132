"""What a customer may use."""

from collections.abc import Iterable

from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.errors import not_found
from subscriptions import store
from subscriptions.model import Grant, Grants


async def grants_of(tx: Tx, key: str | CustomerId) -> Grants:
    """By id or by the caller's reference. It is asked for often: one statement."""
    found = await store.entitlements(tx, key)
    if found is None:
        raise not_found("customer", key)
    customer_id, given = found
    return Grants(customer_id=customer_id, features=merged(given))


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
