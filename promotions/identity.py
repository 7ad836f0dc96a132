"""By what a person is known who comes back under another name. Pure.

Rather too little than too much: who is refused wrongly was a customer. Only what leads into the same mailbox,
stands in the same register or is the same card is the same.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from enum import StrEnum

from billing.parties.model import Customer
from kernel.ids import TenantId
from kernel.structs import Value

# Where a mailbox gets what is sent to its name with dots anywhere in it, and other names of the house.
_DOTS_IGNORED = {"gmail.com": "gmail.com", "googlemail.com": "gmail.com"}


class Kind(StrEnum):
    EMAIL = "email"
    VAT_NUMBER = "vat_number"
    CARD = "card"


class Digest(Value, frozen=True, kw_only=True):
    """What is kept of it: nobody without the key can tell whose it is, nor match it with other tenants'."""

    kind: Kind
    digest: bytes


def digests_of(customer: Customer, *, tenant: TenantId, secret: bytes) -> tuple[Digest, ...]:
    known_by = _known_by(customer.email, customer.vat_number, customer.card_fingerprint)
    return _digests(known_by, tenant=tenant, secret=secret)


def digests(
    email: str | None, vat_number: str | None, *, tenant: TenantId, secret: bytes
) -> tuple[Digest, ...]:
    """Of who is no customer yet."""
    return _digests(_known_by(email, vat_number), tenant=tenant, secret=secret)


def _digests(known_by: Iterable[tuple[Kind, str]], *, tenant: TenantId, secret: bytes) -> tuple[Digest, ...]:
    return tuple(
        Digest(
            kind=kind,
            digest=hmac.digest(secret, f"{tenant}\0{kind}\0{text}".encode(), hashlib.sha256),
        )
        for kind, text in known_by
    )


def are_one(one: Customer, other: Customer) -> bool:
    """Whether two customers are the same person or company, as far as can be told."""
    known = (set(_known_by(each.email, each.vat_number, each.card_fingerprint)) for each in (one, other))
    return one.id == other.id or bool(set.intersection(*known))


def _known_by(
    email: str | None, vat_number: str | None, card: str | None = None
) -> Iterator[tuple[Kind, str]]:
    if email is not None:
        yield Kind.EMAIL, mailbox_of(email)
    if vat_number is not None:
        yield Kind.VAT_NUMBER, vat_number_of(vat_number)
    if card is not None:
        yield Kind.CARD, card


def mailbox_of(email: str) -> str:
    """Without what may differ for one mailbox: capitals, a +tag, dots where they do not count."""
    name, _, domain = email.lower().rpartition("@")
    name = name.partition("+")[0] or name
    if domain in _DOTS_IGNORED:
        name, domain = name.replace(".", ""), _DOTS_IGNORED[domain]
    return f"{name}@{domain}"


def vat_number_of(text: str) -> str:
    """Letters and digits alone; Greece writes EL, and is GR everywhere else."""
    number = re.sub(r"[^0-9A-Z]", "", text.upper())
    return "EL" + number[2:] if number.startswith("GR") else number
