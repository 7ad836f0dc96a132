"""Children that never outlive us.

A child has a session of its own, so Ctrl-C in a terminal reaches us alone and we stop things in
order. It asks the kernel for its stop signal should we die: even `kill -9` leaves no orphan.
The request is bound to the thread that made the child: start children from the main thread only.
"""

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
LAST_LINES = 15


class StackError(Exception):
    """Something here cannot run. The sentence says what a person can do."""


class Identity(msgspec.Struct, frozen=True):
    """The unprivileged account a program runs under when we are root."""

    uid: int
    gid: int


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """How to start something, and how to ask it to stop."""

    name: str
    argv: tuple[str, ...]
    environment: Mapping[str, str]
    log: Path
    folder: Path = Path("/")
    identity: Identity | None = None
    stop_signal: signal.Signals = signal.SIGTERM


class Process:
    """A program that was started."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.log_start = program.log.stat().st_size if program.log.exists() else 0
        self._popen = _spawn(program)

    @property
    def pid(self) -> int:
        return self._popen.pid

    def ended(self) -> bool:
        return self._popen.poll() is not None

    def ask_to_stop(self) -> None:
        if not self.ended():
            self._popen.send_signal(self.program.stop_signal)

    def stop(self, *, timeout_seconds: float = 15) -> None:
        """Ask, wait, insist. What the child itself started goes with it."""
        self.ask_to_stop()
        try:
            self._popen.wait(timeout_seconds)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait()
        _kill_group(self.pid)

    def last_words(self) -> str:
        """The end of what it logged since it was started."""
        with self.program.log.open("rb") as log:
            log.seek(self.log_start)
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-LAST_LINES:]) or "(it logged nothing)"


def wait_until(ready: Callable[[], bool], process: Process, *, timeout_seconds: float) -> None:
    """Return when `ready()`; raise, with the last lines of the log, when that cannot come."""
    name, deadline = process.program.name, time.monotonic() + timeout_seconds
    while not ready():
        if process.ended():
            raise StackError(f"{name} stopped while starting. Its last lines:\n{process.last_words()}")
        if time.monotonic() > deadline:
            raise StackError(
                f"{name} was not ready after {timeout_seconds:.0f} s. Its last lines:\n{process.last_words()}"
            )
        time.sleep(0.02)


def _spawn(program: Program) -> subprocess.Popen[bytes]:
    who = program.identity
    with program.log.open("ab") as log:
        return subprocess.Popen(
            program.argv,
            env=dict(program.environment),
            cwd=program.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=who.uid if who else None,
            group=who.gid if who else None,
            extra_groups=[] if who else None,
            preexec_fn=_dying_with(os.getpid(), program.stop_signal),  # noqa: PLW1509 (no threads)
        )


def _dying_with(parent: int, stop_signal: signal.Signals) -> Callable[[], None]:
    """Runs in the child, after the change of user: that change would clear the request."""

    def ask_the_kernel() -> None:
        LIBC.prctl(PR_SET_PDEATHSIG, int(stop_signal))
        if os.getppid() != parent:  # we died before the kernel knew
            os._exit(1)

    return ask_the_kernel


def _kill_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return
