"""The command line: `ristourne --help` says all. A command is added to the list at the end."""

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from api import (
    cli_admins,
    cli_bill,
    cli_demo,
    cli_distribute,
    cli_jobs,
    cli_keys,
    cli_settle,
    readiness,
    serve,
)
from api import migrate as migrations
from api.distribute import DistributionError
from api.migrate import MigrationError, MigrationStatus
from api.readiness import Check
from api.settings import VARIABLES, Misconfigured, Settings
from api.stack.processes import StackError
from api.stack.up import Plan
from api.stack.up import up as run_stack
from kernel.errors import DomainError

HELP = """Ristourne: subscription billing for SaaS products.

Exit codes: 0 it is done, 1 something stands against it and a sentence says what, 2 the command
or the configuration cannot be understood.
"""

port_option = click.option(
    "--port", envvar="PORT", type=click.IntRange(1, 65535), default=8000, show_default=True, show_envvar=True
)
host_option = click.option("--host", envvar="HOST", default="127.0.0.1", show_default=True, show_envvar=True)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on standard output.")


class BadConfiguration(click.ClickException):
    exit_code = 2


class Group(click.Group):
    """A refusal is a sentence for a person, not a traceback."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            result: object = super().invoke(ctx)
        except Misconfigured as error:
            raise BadConfiguration(str(error)) from error
        except (DistributionError, MigrationError, StackError, DomainError) as error:
            raise click.ClickException(str(error)) from error
        return result

    def format_epilog(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Environment"):
            formatter.write_dl(
                [
                    (variable.name, f"{variable.meaning} [{variable.default or 'required'}]")
                    for variable in VARIABLES
                ]
            )


@click.group(
    cls=Group,
    help=HELP,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="ristourne")
def main() -> None:
    pass


@click.command()
@port_option
@host_option
@click.option(
    "--data",
    envvar="DATA",
    type=click.Path(file_okay=False, path_type=Path),
    default=".ristourne",
    show_default=True,
    show_envvar=True,
    help="Where everything is kept from one start to the next.",
)
def up(port: int, host: str, data: Path) -> None:
    """Run everything on this machine until Ctrl-C: database, queue, mailbox, API, worker.

    DATABASE_URL and REDIS_URL, when set, take the place of the embedded servers.
    """
    run_stack(Plan(data=data.resolve(), port=port, host=host, environ=os.environ), Console())


@click.command()
@port_option
@host_option
@click.option("--workers", type=click.IntRange(1, 64), default=1, show_default=True, help="Processes.")
def api(port: int, host: str, workers: int) -> None:
    """Serve the API and the console."""
    Settings.from_environment(os.environ)
    _become(serve.api(host=host, port=port, workers=workers))


@click.command()
def worker() -> None:
    """Do what is due: events, mail, webhooks, renewals."""
    Settings.from_environment(os.environ)
    _become(serve.worker())


@click.command()
@port_option
@click.option("--smtp-port", type=click.IntRange(1, 65535), default=1025, show_default=True)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=".ristourne/mail",
    show_default=True,
)
def mailbox(port: int, smtp_port: int, folder: Path) -> None:
    """Receive mail on this machine and show it in a browser. Nothing is delivered."""
    os.environ["MAILBOX_FOLDER"] = str(folder.resolve())
    os.environ["MAILBOX_SMTP_PORT"] = str(smtp_port)
    _become(serve.mailbox(host="127.0.0.1", port=port))


@click.command()
@click.option(
    "--status",
    "only_status",
    is_flag=True,
    help="Only say what is applied. Exit code 1 when something is pending.",
)
@click.option("--wait", default=60.0, show_default=True, help="Seconds to wait for another migrator.")
@json_option
def migrate(only_status: bool, wait: float, as_json: bool) -> None:
    """Bring the database up to date, and make the role of the application."""
    settings = Settings.from_environment(os.environ)
    if only_status:
        _show_status(asyncio.run(migrations.status(settings.database_url)), as_json=as_json)
        return
    applied = asyncio.run(
        migrations.migrate(settings.database_url, app_url=settings.app_database_url, wait=wait)
    )
    _say({"applied": applied}, applied or ["nothing to do"], as_json=as_json)


@click.command()
@json_option
def doctor(as_json: bool) -> None:
    """Look at every server as the application sees it, and say what to do."""
    settings = Settings.from_environment(os.environ)
    checks = asyncio.run(readiness.of_everything(settings))
    if as_json:
        _print_json(checks)
    else:
        _show_checks(checks)
    sys.exit(0 if all(check.ok for check in checks) else 1)


def _show_status(statuses: Sequence[MigrationStatus], *, as_json: bool) -> None:
    lines = [
        f"{'pending' if status.applied_at is None else f'{status.applied_at:%Y-%m-%d %H:%M}'}  {status.name}"
        for status in statuses
    ]
    _say(statuses, lines, as_json=as_json)
    if any(status.applied_at is None for status in statuses):
        sys.exit(1)


def _show_checks(checks: Sequence[Check]) -> None:
    table = Table.grid(padding=(0, 2))
    for check in checks:
        mark = Text("✓", "green") if check.ok else Text("✗", "red")
        table.add_row(mark, check.name, Text(check.found))
        if not check.ok:
            table.add_row("", "", Text(check.advice, "yellow"))
    Console().print(table)


def _say(value: object, lines: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        _print_json(value)
    else:
        click.echo("\n".join(lines))


def _print_json(value: object) -> None:
    click.echo(msgspec.json.format(msgspec.json.encode(value), indent=2).decode())


def _become(command: tuple[str, ...]) -> NoReturn:
    """The same process goes on as the server: signals and exit codes need no middleman."""
    os.execv(command[0], command)  # noqa: S606 (no shell is the point)


OTHERS = (
    cli_distribute.distribute,
    cli_bill.bill,
    cli_settle.settle,
    cli_demo.demo,
    cli_admins.admin,
    cli_keys.tenant,
    cli_keys.keys,
    cli_jobs.jobs_group,
)

for command in (up, api, worker, migrate, mailbox, doctor, *OTHERS):
    main.add_command(command)
