"""The commands of the long-running processes: the same in production and in `make up`."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROGRAMS = Path(sys.executable).parent


def api(*, host: str, port: int, workers: int = 1) -> tuple[str, ...]:
    return _granian("api.app:create_served", host=host, port=port, workers=workers)


def mailbox(*, host: str, port: int) -> tuple[str, ...]:
    return _granian("api.mailbox.app:create_mailbox", host=host, port=port, workers=1)


def worker() -> tuple[str, ...]:
    return (str(PROGRAMS / "arq"), "api.worker.WorkerSettings")


def _granian(factory: str, *, host: str, port: int, workers: int) -> tuple[str, ...]:
    """One thread per process: the work is asynchronous. A dead worker process is replaced."""
    return (
        str(PROGRAMS / "granian"),
        *("--interface", "asgi", "--loop", "uvloop", "--http", "1", "--no-ws"),
        *("--host", host, "--port", str(port), "--workers", str(workers)),
        *("--log-level", "warning", "--respawn-failed-workers", "--workers-kill-timeout", "10s"),
        *("--working-dir", str(ROOT), "--factory", factory),
    )
