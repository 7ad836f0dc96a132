"""What a person sees when everything runs."""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from api.stack.up import Running


def show(console: Console, running: "Running") -> None:
    table = Table.grid(padding=(0, 3))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    table.add_row("API", Text(running.base_url, style="bold"))
    table.add_row("Docs", running.docs_url)
    table.add_row("Console", running.console_url)
    table.add_row("Mailbox", running.mailbox_url)
    table.add_row("Test key", Text(running.api_key, style="bold green"))
    table.add_row("Data", running.data)
    first_call = f'curl {running.base_url}/v1/plans -H "Authorization: Bearer {running.api_key}"'
    title = f"[bold]Ristourne[/] is ready after {running.ready_after_seconds:.1f} s"
    console.print(Panel.fit(table, title=title, title_align="left", border_style="green", padding=(1, 2)))
    link = running.first_admin_url
    if link:
        # Outside the frame, where a long address stays in one piece.
        console.print(f"  First link {link}", markup=False, highlight=False, soft_wrap=True)
        console.print("             sets the first admin's password: once, within 24 hours\n", style="dim")
    console.print(f"  Try it     {first_call}", markup=False, highlight=False, soft_wrap=True)
    console.print("  Stop it    Ctrl-C\n", markup=False, highlight=False)
