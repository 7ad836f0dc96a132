"""What a customer may use."""

from collections.abc import Iterable, Mapping

from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.decimals import Quantity
from kernel.errors import not_found
from subscriptions import store
from subscriptions.model import Grant, Grants


async def grants_of(tx: Tx, key: str | CustomerId) -> Grants:
    """By id or by the caller's reference. It is asked for often: one statement."""
    found = await store.entitlements(tx, key)
    if found is None:
        raise not_found("customer", key)
    customer_id, given = found
    return Grants(customer_id=customer_id, features=merged(with_addons(*each) for each in given))


def with_addons(
    plan: Mapping[str, Grant], addons: Iterable[tuple[Mapping[str, Grant], Quantity]]
) -> dict[str, Grant]:
    """What a subscription gives: each limit of an add-on, times its quantity, comes on top of the plan's."""
    features = dict(plan)
    for grants, quantity in addons:
        for feature, grant in grants.items():
            features[feature] = _on_top(features.get(feature, False), grant, quantity)
    return features


def _on_top(grant: Grant, more: Grant, quantity: Quantity) -> Grant:
    """A feature that is on has no limit that could be raised; units that are not whole give nothing."""
    if isinstance(more, bool):
        return more or grant
    return grant is True or int(grant) + int(more * quantity)


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
