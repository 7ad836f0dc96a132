"""A real `make up` beside the tests of the documentation, in a folder of its own."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.stack.embedded import free_port

ROOT = Path(__file__).parents[2]


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
            timeout=240,  # a page is some hundred calls, beside whatever else the machine does
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
