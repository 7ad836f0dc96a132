"""Small programs in place of the API and the worker: `python -m tests.api.standins up DATA PORT`."""

import os
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import click
from rich.console import Console

from api.cli import Group
from api.stack.up import Plan, up


@click.group(cls=Group)
def main() -> None:
    pass


@main.command(name="up")
@click.argument("data", type=click.Path(path_type=Path))
@click.argument("port", type=int)
@click.option("--api", default="answers")
def run(data: Path, port: int, api: str) -> None:
    me = (sys.executable, "-m", "tests.api.standins")
    plan = Plan(data=data, port=port, environ=os.environ, api=(*me, api, str(port)), worker=(*me, "sleeps"))
    up(plan, Console())


@main.command()
@click.argument("port", type=int)
def answers(port: int) -> None:
    HTTPServer(("127.0.0.1", port), Ready).serve_forever()


@main.command()
@click.argument("port", type=int)
def fails(port: int) -> None:
    click.echo(f"the plan for port {port} is lost", err=True)
    sys.exit(3)


@main.command()
def sleeps() -> None:
    time.sleep(600)


class Ready(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")


if __name__ == "__main__":
    main()
