"""What a customer may use."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from billing.parties.model import CustomerId
from kernel.database import Tx
from kernel.decimals import Measure, Quantity
from kernel.errors import not_found
from kernel.text import Reference
from subscriptions import store
from subscriptions.model import Given, Grant, Grants, Quota, QuotaLeft

NOTHING = Measure(0)


async def grants_of(tx: Tx, key: str | CustomerId) -> Grants:
    """By id or by the caller's reference. It is asked for often: one statement."""
    found = await store.entitlements(tx, key)
    if found is None:
        raise not_found("customer", key)
    customer_id, given = found
    return grants(customer_id, given)


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
    if grant is True:
        return True
    limit = _limit(grant) + int(_limit(more) * quantity)
    meter = next((each.meter for each in (grant, more) if isinstance(each, Quota)), None)
    return limit if meter is None else Quota(quota=limit, meter=meter)


def _limit(grant: Grant) -> int:
    return grant.quota if isinstance(grant, Quota) else int(grant)


def grants(customer_id: CustomerId, given: Sequence[Given]) -> Grants:
    """A quota is a limit among limits, and is told with what is left of it unless something beats it."""
    given = [replace(each, entitlements=with_addons(each.entitlements, each.addons)) for each in given]
    quotas = quotas_of(given)
    features = merged([*map(_plain, given), {feature: int(each.allowed) for feature, each in quotas.items()}])
    return Grants(
        customer_id=customer_id,
        features=features,
        quotas={
            feature: quota
            for feature, quota in quotas.items()
            if features[feature] is not True and features[feature] == quota.allowed
        },
    )


def quotas_of(given: Sequence[Given]) -> dict[str, QuotaLeft]:
    """Those of several subscriptions add up: each gives its own, and counts its own usage against it."""
    quotas: dict[str, QuotaLeft] = {}
    for each in given:
        for feature, quota in _of_one(each):
            quotas[feature] = _together(quotas[feature], quota) if feature in quotas else quota
    return quotas


def merged(given: Iterable[Mapping[str, bool | int]]) -> dict[str, bool | int]:
    """The best of each feature: the higher limit beats the lower, and without a limit beats both."""
    features: dict[str, bool | int] = {}
    for grants in given:
        for feature, grant in grants.items():
            features[feature] = max(features.get(feature, grant), grant, key=_rank)
    return features


def _rank(grant: bool | int) -> tuple[bool, int, bool]:
    """A limit of zero is a limit still: whatever the order, the same grant is the best."""
    return grant is True, grant, grant is not False


def _plain(given: Given) -> dict[str, bool | int]:
    return {feature: grant for feature, grant in given.entitlements.items() if not isinstance(grant, Quota)}


def _of_one(given: Given) -> Iterator[tuple[str, QuotaLeft]]:
    for feature, grant in given.entitlements.items():
        if isinstance(grant, Quota):
            used = given.used.get(grant.meter, NOTHING)
            yield (
                feature,
                QuotaLeft(
                    meter=Reference(grant.meter),
                    allowed=Measure(grant.quota),
                    used=used,
                    left=max(Measure(grant.quota - used), NOTHING),
                    resets_at=given.resets_at,
                ),
            )


def _together(one: QuotaLeft, other: QuotaLeft) -> QuotaLeft:
    return QuotaLeft(
        meter=one.meter,
        allowed=Measure(one.allowed + other.allowed),
        used=Measure(one.used + other.used),
        left=Measure(one.left + other.left),
        resets_at=min(one.resets_at, other.resets_at),
    )
