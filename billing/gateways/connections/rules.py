"""What a payment connection must be like. Pure."""

from billing.gateways.connections.model import MOST_WEBHOOK_SECRETS, NEXT, Keys, SecretKey, Status
from kernel.errors import Conflict, Invalid


def check_mode(key: SecretKey, *, is_live: bool) -> None:
    """Tests move no money, and what is real is not paid with play money."""
    if key.is_live == is_live:
        return
    have, need = ("live", "test") if key.is_live else ("test", "live")
    raise Invalid(
        "payment_key_mode", f"This is a {have} key. A {need} tenant takes a {need} key.", param="secret_key"
    )


def check_not_disconnected(keys: Keys) -> None:
    if keys.status is Status.DISCONNECTED:
        raise Conflict(
            "payment_connection_disconnected",
            "This connection has ended. Make a new one with POST /v1/payment_connections.",
        )


def check_nothing_under_way(under_way: int) -> None:
    if under_way:
        raise Conflict(
            "payment_connection_in_use",
            f"{under_way} charges and refunds are under way through this connection. Wait until they have "
            "succeeded or failed.",
        )


def check_room(secrets: int) -> None:
    if secrets >= MOST_WEBHOOK_SECRETS:
        raise Conflict(
            "webhook_secrets_too_many",
            f"A connection has at most {MOST_WEBHOOK_SECRETS} webhook secrets. Delete one that is not used.",
        )


def checked(keys: Keys, *, account: str | None) -> tuple[Status, str | None]:
    """What becomes of a connection whose newest key opened an `account`, or none; and the problem with it.

    A key that worked goes on working when the next one does not.
    """
    if account is not None and keys.account in (None, account):
        return Status.CONNECTED, None
    problem = "gateway_key_refused" if account is None else "gateway_account_differs"
    after = Status.CONNECTED if keys.status is Status.CONNECTED else Status.REFUSED
    assert after is keys.status or after in NEXT[keys.status], "the table of states allows it"
    return after, problem
