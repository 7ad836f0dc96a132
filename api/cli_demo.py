"""`ristourne demo`."""

import json
from pathlib import Path

import click
from rich.console import Console

from api.demo.play import DemoError
from api.demo.play import play as tell
from api.demo.tell_year import tell as tell_year
from api.demo.year import WEEKS


@click.command()
@click.option(
    "--data",
    envvar="DATA",
    type=click.Path(file_okay=False, path_type=Path),
    default=".ristourne",
    show_default=True,
    show_envvar=True,
    help="Where `make up` keeps its things: address and key are read there.",
)
@click.option("--url", help="Another API, such as http://127.0.0.1:8000. Needs --key.")
@click.option("--key", help="A test key of that API.")
@click.option("--year", "whole_year", is_flag=True, help="A year of two hundred customers, until today.")
@click.option("--weeks", type=click.IntRange(1, WEEKS), default=WEEKS, help="Only the first of them.")
def demo(data: Path, url: str | None, key: str | None, whole_year: bool, weeks: int) -> None:
    """Play the story of a little SaaS company into a running test tenant.

    Three plans, welcome offers, a dozen customers, payments, and a cancellation in each refund mode.
    Playing it twice does no harm.

    With --year the last year of a larger one passes on the tenant's test clock, which then stands at today:
    every price model, upgrades, pauses, refunds, cards that fail. It takes some minutes, and a tenant that
    has no customer yet.
    """
    url, key = (url, key) if url and key else _running(data)
    if not key.startswith("rk_test_"):
        raise DemoError("demo_needs_test_key", "The story is only told in a test tenant: give a test key.")
    if whole_year:
        tell_year(url, key, Console(), weeks=weeks)
    else:
        tell(url, key, Console())


def _running(data: Path) -> tuple[str, str]:
    try:
        card = json.loads((data / "dev.json").read_text())
    except (OSError, ValueError) as error:
        raise DemoError(
            "stack_not_running", f"Nothing runs in {data}: start `make up`, or name --url and --key."
        ) from error
    return card["base_url"], card["api_key"]
