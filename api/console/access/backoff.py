"""How long guessing must wait. Pure.

Guesses are counted in lanes. A browser that an admin signed in with before has a lane of its own, and no
other: a stranger who guesses at their name, or comes from the same address, does not keep them out. Any
other guess counts in the lane of its name and in that of its address, and must be free in both. An address
inside our own network is that of a proxy, behind which everybody comes: it has no lane.

A wait doubles with each failure and ends at a minute: at most 1,440 guesses a day at one name.
"""

from datetime import datetime, timedelta
from ipaddress import IPv6Address, ip_address, ip_network

from api.console.access.keyed import Keyed
from kernel.structs import Value

LONGEST_WAIT_SECONDS = 60
FORGOTTEN_AFTER = timedelta(hours=24)
FREE_PER_NAME = 5
FREE_PER_ADDRESS = 20  # an office

_LOOPBACK = IPv6Address(1)
_INSIDE = [
    ip_network(text)
    for text in (
        "127.0.0.0/8",
        "10.0.0.0/8",
        "172.16.0.0/12",
        "192.168.0.0/16",
        "169.254.0.0/16",
        "100.64.0.0/10",
        "::1/128",
        "fc00::/7",
        "fe80::/10",
    )
]


class Lane(Value, frozen=True, kw_only=True):
    """`free` failures cost nothing."""

    id: bytes
    free: int


class Count(Value, frozen=True, kw_only=True):
    """What was counted in a lane so far."""

    lane: bytes
    failures: int
    last_at: datetime
    blocked_until: datetime


def lanes(keyed: Keyed, *, name: str, address: str, device: str | None) -> list[Lane]:
    if device is not None:
        return [Lane(id=keyed.hash("device lane", device), free=FREE_PER_NAME)]
    found = [Lane(id=keyed.hash("name lane", name), free=FREE_PER_NAME)]
    network = network_of(address)
    if network is not None:
        found.append(Lane(id=keyed.hash("address lane", network), free=FREE_PER_ADDRESS))
    return found


def wait_seconds(counts: list[Count], *, now: datetime) -> int:
    """How long until the last of these lanes is free again; 0 when they are."""
    longest = max((count.blocked_until - now for count in counts), default=timedelta(0))
    return max(0, -(-longest // timedelta(seconds=1)))


def counted(count: Count, *, free: int, now: datetime) -> Count:
    """With one more failure. A guess counts as one before it is looked at."""
    failures = 1 if now - count.last_at > FORGOTTEN_AFTER else count.failures + 1
    beyond = failures - free
    seconds = 0 if beyond < 0 else min(2 ** min(beyond, 10), LONGEST_WAIT_SECONDS)
    return Count(
        lane=count.lane, failures=failures, last_at=now, blocked_until=now + timedelta(seconds=seconds)
    )


def network_of(address: str) -> str | None:
    """Whoever has one IPv6 address has all 2⁶⁴ beside it. None when it is a proxy's of ours."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return None  # a socket of this machine
    if isinstance(parsed, IPv6Address):
        parsed = parsed.ipv4_mapped or IPv6Address(int(parsed) >> 64 << 64 if parsed != _LOOPBACK else 1)
    return None if any(parsed in network for network in _INSIDE) else str(parsed)
