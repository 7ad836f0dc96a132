"""Who may open the console, and for how long.

invited ──first link──▶ admin          a link opens once, within a day; a new one replaces it

session  live ──sign out, new password──▶ revoked
           └──an hour unused, 12 hours old──▶ over
"""

from datetime import datetime, timedelta

from api.access.model import AccountId, Mode
from kernel.ids import Id, TenantId
from kernel.structs import Value
from kernel.text import Email

INVITATION_LASTS = timedelta(hours=24)
SESSION_LASTS = timedelta(hours=12)
SESSION_IDLES = timedelta(minutes=60)
SEEN_EVERY = timedelta(minutes=1)  # how exactly we remember when a session was last used

NO_SUCH_PAGE = "There is no such page in this console."  # nor, for you, this tenant: both read the same


class AdminId(Id, prefix="adm"):
    """A person who opens the console."""


class Refused(Exception):
    """What the console does not do: a status, and a sentence for whoever asked.

    `retry_after` is in seconds. This is no DomainError: its codes are the API's, and a page has none.
    """

    def __init__(self, status: int, sentence: str, *, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.retry_after = retry_after


class SignedOut(Exception):
    """There is no session, or it is over: the sign-in page is the answer."""


class Admin(Value, frozen=True, kw_only=True):
    id: AdminId
    email: Email
    password_hash: str | None

    def __repr__(self) -> str:
        return f"Admin({self.id})"


class Invitation(Value, frozen=True, kw_only=True):
    """A one-time link, without its token."""

    admin_id: AdminId
    email: Email
    expires_at: datetime
    used_at: datetime | None

    def check_open(self, *, now: datetime) -> None:
        if self.used_at is not None or self.expires_at <= now:
            raise link_is_over()


class Session(Value, frozen=True, kw_only=True):
    """A signed-in browser, as we keep it: `id_hash` and not the id that its cookie holds."""

    id_hash: bytes
    admin_id: AdminId
    email: Email
    created_at: datetime
    seen_at: datetime
    expires_at: datetime
    revoked_at: datetime | None

    def is_live(self, *, now: datetime) -> bool:
        return self.revoked_at is None and now < min(self.expires_at, self.seen_at + SESSION_IDLES)

    def is_to_be_seen(self, *, now: datetime) -> bool:
        return now >= self.seen_at + SEEN_EVERY


class Place(Value, frozen=True, kw_only=True):
    """A tenant that an admin may open: which account, which product, live or test."""

    tenant_id: TenantId
    account_id: AccountId
    account: str
    product: str
    mode: Mode


def link_is_over() -> Refused:
    return Refused(
        404,
        "This link was used, has expired or was replaced by a newer one. "
        "Ask for another: `ristourne admin invite` makes it.",
    )
