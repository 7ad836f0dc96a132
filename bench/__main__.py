"""`make bench`: how fast, beside a limit that is measured in the same run. What it says stands in
docs/performance.md."""

import asyncio

import click
import uvloop

from bench import billing, credit_notes, engine, evaluations, house, rebates, settlements, signups


@click.group()
def main() -> None:
    """Measure on servers of their own, durable as in production."""


@main.command("billing")
@click.option("--subscriptions", type=int, default=200_000, show_default=True)
@click.option("--workers", type=int, multiple=True, default=(1, 2), show_default=True)
@click.option("--chunk", type=int, default=2_000, show_default=True)
def billing_command(subscriptions: int, workers: tuple[int, ...], chunk: int) -> None:
    """The billing run beside raw COPY and beside its own INSERTs without pricing."""
    with house.servers():
        asyncio.run(billing.measure(subscriptions, workers, chunk))


@main.command("signups")
@click.option("--clients", type=int, multiple=True, default=(8, 32), show_default=True)
@click.option("--processes", type=int, multiple=True, default=(1, 2), show_default=True)
@click.option("--tenants", type=int, multiple=True, default=(16, 1), show_default=True)
def signups_command(clients: tuple[int, ...], processes: tuple[int, ...], tenants: tuple[int, ...]) -> None:
    """Signups over HTTP beside the same statements sent straight; one tenant has one number series."""
    with house.servers():
        asyncio.run(signups.measure(clients, processes, tenants))


@main.command("credit_notes")
@click.option("--clients", type=int, default=8, show_default=True)
@click.option("--processes", type=int, multiple=True, default=(1, 2), show_default=True)
@click.option("--tenants", type=int, default=16, show_default=True)
def credit_notes_command(clients: int, processes: tuple[int, ...], tenants: int) -> None:
    """Full credit notes over HTTP beside the same statements sent straight."""
    with house.servers():
        asyncio.run(credit_notes.measure(clients, processes, tenants))


@main.command("settlements")
@click.option("--notes", type=int, default=50_000, show_default=True)
def settlements_command(notes: int) -> None:
    """A settlement batch beside what it writes, sent again."""
    with house.servers():
        asyncio.run(settlements.measure(notes))


@main.command("engine")
def engine_command() -> None:
    """The promotion engine on one core, beside the sums it does."""
    engine.measure()


@main.command("evaluations")
@click.option("--clients", type=int, default=8, show_default=True)
@click.option("--processes", type=int, multiple=True, default=(1, 2), show_default=True)
def evaluations_command(clients: int, processes: tuple[int, ...]) -> None:
    """What somebody would pay, with twenty offers in reach, over HTTP."""
    with house.servers():
        uvloop.run(evaluations.measure(clients, processes))


@main.command("rebates")
@click.option("--lines", type=int, multiple=True, default=(10_000, 100_000, 1_000_000), show_default=True)
def rebates_command(lines: tuple[int, ...]) -> None:
    """A rebate over very many invoice lines, and the memory of whoever settles it."""
    with house.servers():
        asyncio.run(rebates.measure(lines))


if __name__ == "__main__":
    main()
