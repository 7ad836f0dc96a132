"""`ristourne demo`."""

import json
from pathlib import Path

import click
from rich.console import Console

from api.demo.play import DemoError
from api.demo.play import play as tell


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
def demo(data: Path, url: str | None, key: str | None) -> None:
    """Play the story of a little SaaS company into a running test tenant.

    Three plans, welcome offers, a dozen customers, payments, and a cancellation in each refund mode.
    Playing it twice does no harm.
    """
    url, key = (url, key) if url and key else _running(data)
    if not key.startswith("rk_test_"):
        raise DemoError("demo_needs_test_key", "The story is only told in a test tenant: give a test key.")
    tell(url, key, Console())


def _running(data: Path) -> tuple[str, str]:
    try:
        card = json.loads((data / "dev.json").read_text())
    except (OSError, ValueError) as error:
        raise DemoError(
            "stack_not_running", f"Nothing runs in {data}: start `make up`, or name --url and --key."
        ) from error
    return card["base_url"], card["api_key"]
