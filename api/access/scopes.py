"""What a key may do. A scope is a resource and whether it may be read or changed."""

from collections.abc import Iterable
from typing import ClassVar, Self

from kernel.errors import Invalid

RESOURCES = (
    "api_keys",
    "coupons",
    "credit_notes",
    "customers",
    "entitlements",
    "events",
    "invoices",
    "ledger",
    "legal_entities",
    "meters",
    "offers",
    "payment_connections",
    "payments",
    "plans",
    "rebates",
    "redemptions",
    "refunds",
    "settings",
    "settlements",
    "subscriptions",
    "tax_rates",
    "test_clock",
    "usage",
)
ALL = frozenset(f"{resource}:{act}" for resource in RESOURCES for act in ("read", "write"))
READ = frozenset(scope for scope in ALL if scope.endswith(":read"))

# What a key is made for. A group stands for its scopes at the time the key is made.
GROUPS: dict[str, frozenset[str]] = {
    "everything": ALL,
    "read_only": READ - {"api_keys:read"},
    "signup_backend": frozenset(
        {
            "customers:read",
            "customers:write",
            "entitlements:read",
            "invoices:read",
            "meters:read",
            "offers:read",
            "plans:read",
            "redemptions:read",
            "redemptions:write",
            "subscriptions:read",
            "subscriptions:write",
            "usage:read",
            "usage:write",
        }
    ),
    "finance": frozenset(
        {
            "credit_notes:read",
            "credit_notes:write",
            "customers:read",
            "invoices:read",
            "invoices:write",
            "ledger:read",
            "legal_entities:read",
            "payments:read",
            "payments:write",
            "rebates:read",
            "rebates:write",
            "refunds:read",
            "refunds:write",
            "settlements:read",
            "settlements:write",
            "subscriptions:read",
            "tax_rates:read",
            "usage:read",
        }
    ),
}

# How people are told what a group is for: its name, and what a key of it does.
TASKS: dict[str, tuple[str, str]] = {
    "signup_backend": (
        "A backend that signs people up",
        "Registers customers, runs their subscriptions, reports usage, and reads what they may use.",
    ),
    "read_only": (
        "Read only",
        "Reads everything but API keys, and changes nothing: for reports and dashboards.",
    ),
    "finance": (
        "Finance",
        "Issues invoices and credit notes, settles rebates, records payments, gives money back, reads books.",
    ),
    "everything": (
        "Everything",
        "May do whatever the API can, making other keys included. Give it to nobody who needs less.",
    ),
}


class Scope(str):
    """A scope such as `invoices:read`, or the name of a group such as `finance`."""

    __slots__ = ()
    schema: ClassVar[dict[str, object]] = {
        "type": "string",
        "enum": sorted(ALL) + sorted(GROUPS),
        "examples": ["invoices:read"],
        "description": "What a key may do, or a group of such scopes made for one task.",
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        if text not in ALL and text not in GROUPS:
            raise ValueError(f"{text[:64]!r} is neither a scope nor a group of scopes")
        return cls(text)


def expand(wanted: Iterable[Scope]) -> frozenset[str]:
    """The plain scopes of a list that may name groups."""
    return frozenset().union(*(GROUPS.get(scope, {str(scope)}) for scope in wanted))


def check_within(wanted: frozenset[str], own: frozenset[str]) -> None:
    """Nobody gives away what they do not have."""
    beyond = sorted(wanted - own)
    if beyond:
        raise Invalid(
            "scope_beyond_own",
            f"Your own key does not have {', '.join(beyond)}, so it cannot give it to another.",
            param="scopes",
        )
