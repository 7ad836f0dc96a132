"""Keeps programs running: who dies is started again, sooner the first time than the tenth."""

import threading
import time
from collections.abc import Callable, Sequence

from api.stack.processes import Process, Program

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 15.0
HEALTHY_AFTER_SECONDS = 20.0  # who ran this long begins again with the first delay
LOOK_EVERY_SECONDS = 0.1


class Supervised:
    """One program that should be running."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self._started_at = time.monotonic()
        self._start_at: float | None = None
        self._failures = 0

    @property
    def program(self) -> Program:
        return self.process.program

    def look(self, now: float) -> str | None:
        """Note a death, or start again what is due. A sentence when there is news."""
        if self._start_at is not None:
            if now >= self._start_at:
                self._start_again(now)
            return None
        if self.process.ended():
            return self._mourn(now)
        return None

    def _mourn(self, now: float) -> str:
        self.process.stop()  # its own children, should any be left
        if now - self._started_at > HEALTHY_AFTER_SECONDS:
            self._failures = 0
        wait = min(FIRST_DELAY_SECONDS * 2**self._failures, LONGEST_DELAY_SECONDS)
        self._failures = min(self._failures + 1, 16)
        self._start_at = now + wait
        name, log = self.program.name, self.program.log
        return f"{name} stopped; starting it again in {wait:.1f} s (its log: {log})"

    def _start_again(self, now: float) -> None:
        self.process = Process(self.program)
        self._started_at, self._start_at = now, None


def watch(children: Sequence[Supervised], stop: threading.Event, tell: Callable[[str], None]) -> None:
    """Until `stop` is set."""
    while not stop.wait(LOOK_EVERY_SECONDS):
        for child in children:
            news = child.look(time.monotonic())
            if news:
                tell(news)


def stop_in_order(children: Sequence[Supervised]) -> None:
    """The last one started first: nobody loses what it stands on."""
    for child in reversed(children):
        child.process.stop()
