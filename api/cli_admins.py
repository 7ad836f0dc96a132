"""`ristourne admin …`: who may open the console."""

import asyncio

import click
import msgspec

from api import clock
from api.access.model import AccountId
from api.cli_shared import json_option, with_pool
from api.console import links
from api.console.access import store
from api.console.access.invite import invite_admin
from api.console.access.remove import remove_admin
from api.console.access.store import Account, Listed
from api.settings import Settings
from kernel.database import Pool
from kernel.structs import encode
from kernel.text import Email


@click.group()
def admin() -> None:
    """People who open the console."""


@admin.command("invite")
@click.argument("email")
@click.option("--account", "account_text", help="An account's id or name. Needed when there are several.")
@json_option
def invite(email: str, account_text: str | None, as_json: bool) -> None:
    """Print a one-time link: it makes somebody an admin, or gives an admin a new password.

    It works once, within 24 hours. A new one takes the place of the one before.

    Whoever has a password keeps it, and stays signed in, until the link is used: making one ends nothing.
    To keep somebody out at once, `ristourne admin remove`.
    """
    address = _address(email)
    link = asyncio.run(with_pool(lambda pool, settings: _invite(pool, settings, address, account_text)))
    click.echo(msgspec.json.encode({"link": link}) if as_json else link)


@admin.command("list")
@json_option
def list_admins(as_json: bool) -> None:
    """Who may open the console, of which accounts, and when they were last seen (UTC)."""
    admins = asyncio.run(with_pool(lambda pool, _: store.admins(pool, now=clock.now())))
    if as_json:
        click.echo(encode({"admins": admins}))
        return
    for one in admins:
        click.echo(f"{one.email}  {one.id}  {', '.join(one.accounts) or 'no account'}  {_standing(one)}")


@admin.command("remove")
@click.argument("email")
@click.option("--account", "account_text", help="Only from this account, by id or name. Else from all.")
def remove(email: str, account_text: str | None) -> None:
    """Take an account away from an admin, at once.

    With the last one go the password, every session and a link that was not used.
    """
    address = _address(email)
    asyncio.run(with_pool(lambda pool, _: _remove(pool, address, account_text)))
    click.echo(f"{address} opens {'that account' if account_text else 'the console'} no more.", err=True)


def _address(email: str) -> Email:
    try:
        return Email.parse(email)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None


def _standing(admin: Listed) -> str:
    if admin.last_seen_at is not None and admin.has_password:
        return f"seen {admin.last_seen_at:%Y-%m-%d %H:%M}"
    if admin.has_password:
        return "not seen lately"
    return "invited" if admin.has_link else "no password"


async def _invite(pool: Pool, settings: Settings, email: Email, account_text: str | None) -> str:
    account = _chosen(await store.accounts(pool), account_text)
    async with pool.acquire() as conn, conn.transaction():
        token = await invite_admin(conn, email, account.id, keyed=links.keyed(settings), now=clock.now())
    return links.of_invitation(settings, token)


async def _remove(pool: Pool, email: Email, account_text: str | None) -> None:
    account = None if account_text is None else _chosen(await store.accounts(pool), account_text)
    async with pool.acquire() as conn, conn.transaction():
        account_id = None if account is None else account.id
        if not await remove_admin(conn, email, account_id, now=clock.now()):
            raise click.UsageError(f"{email} opens no such account: `ristourne admin list` says who does.")


def _chosen(accounts: list[Account], text: str | None) -> Account:
    account_id = None if text is None else AccountId.read(text)
    found = [a for a in accounts if text is None or account_id == a.id or text == a.name]
    if len(found) == 1:
        return found[0]
    listed = "\n".join(f"  {account.id}  {account.name}" for account in accounts)
    raise click.UsageError(
        f"--account must name one account, by id or name; these are there:\n{listed}"
        if accounts
        else "There is no account yet: `ristourne tenant create` opens one."
    )
