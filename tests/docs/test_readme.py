"""The README's first screen works word by word: its blocks are run in a shell beside a real `make up`."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.stack.embedded import free_port

ROOT = Path(__file__).parents[2]
BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
MARK = "<!-- run: "


def blocks() -> list[str]:
    """The shell blocks of the first screen, after the mark and before the next heading."""
    text = (ROOT / "README.md").read_text()
    first_screen = text[text.index(MARK) : text.index("## What next")]
    return BLOCK.findall(first_screen)


class Stack:
    """`make up`, in a folder of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.port = free_port()
        environment = {**os.environ, "PORT": str(self.port), "DATA": str(home / ".ristourne")}
        for name in ("DATABASE_URL", "REDIS_URL", "APP_DATABASE_URL"):
            environment.pop(name, None)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "api", "up"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.card = self._ready()

    def _ready(self) -> dict[str, Any]:
        card = self.home / ".ristourne" / "dev.json"
        deadline = time.monotonic() + 60
        while not card.exists():
            assert self.process.poll() is None, self.process.communicate()[0]
            assert time.monotonic() < deadline, "the stack did not come up"
            time.sleep(0.1)
        said: dict[str, Any] = json.loads(card.read_text())
        return said

    def run(self, script: str) -> str:
        """One shell for all blocks, as a reader has one terminal; the port is the only thing that differs."""
        done = subprocess.run(
            ["sh", "-eu", "-c", script.replace("127.0.0.1:8000", f"127.0.0.1:{self.port}")],
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)
        self.process.communicate(timeout=30)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    stack = Stack(tmp_path_factory.mktemp("readme"))
    try:
        yield stack
    finally:
        stack.stop()


@pytest.fixture(scope="module")
def output(stack: Stack) -> str:
    return stack.run("\n".join(blocks()))


def test_every_answer_is_what_was_asked_for(output: str) -> None:
    assert len(blocks()) == 7
    assert '"code"' not in output, "an answer of the README is a problem"


def test_the_invoice_is_numbered_and_paid(output: str) -> None:
    lines = output.splitlines()
    number = next(line for line in lines if re.fullmatch(r"F\d{4}-000001", line))
    assert lines[lines.index(number) + 1] == "settled"


def test_each_refund_mode_does_what_it_says(output: str) -> None:
    cancellations = [
        answer
        for answer in map(json.loads, (line for line in output.splitlines() if line.startswith("{")))
        if "to_refund_by_hand" in answer
    ]
    simulated, automatic, manual, deferred = cancellations

    assert [refund["status"] for refund in automatic["refunds"]] == ["pending"]
    assert (manual["refunds"], manual["to_refund_by_hand"]["minor"]) == ([], 1740)
    assert [refund["status"] for refund in deferred["refunds"]] == ["scheduled"]
    assert simulated["credit_note"]["total"] == automatic["credit_note"]["total"]


def test_the_credit_note_is_a_pdf(output: str, stack: Stack) -> None:
    assert (stack.home / "credit-note.pdf").read_bytes().startswith(b"%PDF-")


def test_the_customer_has_mail(output: str, stack: Stack) -> None:
    deadline = time.monotonic() + 15
    wanted = {"Votre facture F", "Votre avoir A", "Votre remboursement"}
    while missing := {subject for subject in wanted if subject not in _page(stack.card["mailbox_url"])}:
        assert time.monotonic() < deadline, f"no mail says {missing}"
        time.sleep(0.2)


def _page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 (loopback, ours)
        return str(response.read().decode())
