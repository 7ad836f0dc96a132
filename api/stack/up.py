"""`make up`: everything on this machine, from nothing to a key that works, until Ctrl-C.

start  postgres ▶ valkey ▶ mailbox ▶ migrations ▶ demo tenant, first admin ▶ worker ▶ api
stop   api ▶ worker ▶ mailbox ▶ valkey ▶ postgres
"""

import asyncio
import fcntl
import os
import secrets
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from types import FrameType

import msgspec
from rich.console import Console

from api import clock, serve
from api.access.bootstrap import DemoTenant, demo_tenant
from api.console import links
from api.console.access.first_link import first_admin_token
from api.migrate import migrate
from api.settings import Settings
from api.stack import embedded, screen
from api.stack.embedded import free_port, write_private
from api.stack.processes import Process, Program, StackError, wait_until
from api.stack.supervisor import Supervised, stop_in_order, watch
from kernel.database import open_pool

READY_WITHIN_SECONDS = 60
LARGEST_LOG_BYTES = 10_000_000


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What to run, and where. The commands are ours unless a test brings its own."""

    data: Path
    port: int
    host: str = "127.0.0.1"
    environ: Mapping[str, str]
    api: tuple[str, ...] | None = None
    worker: tuple[str, ...] | None = None

    @property
    def base_url(self) -> str:
        shown = "127.0.0.1" if self.host == "0.0.0.0" else self.host  # noqa: S104 (only compared)
        return f"http://{shown}:{self.port}"


class Running(msgspec.Struct, frozen=True, kw_only=True):
    """DATA/dev.json: what a program on this machine needs to know about a stack that runs.

    `first_admin_url` is the one-time link to the console, until an admin has set a password.
    """

    pid: int
    base_url: str
    docs_url: str
    console_url: str
    first_admin_url: str | None
    mailbox_url: str
    api_key: str
    database_url: str
    redis_url: str
    data: str
    ready_after_seconds: float


def up(plan: Plan, console: Console) -> None:
    """Run until asked to stop. StackError says why it cannot."""
    plan.data.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _alone(plan.data), _stopped_by_signals() as stop:
        _Stack(plan, console).run(stop)


class _Stack:
    """The children, in the order they were started."""

    def __init__(self, plan: Plan, console: Console) -> None:
        self.plan = plan
        self.console = console
        self.children: list[Supervised] = []
        self.started_at = time.monotonic()
        self.card = plan.data / "dev.json"

    def run(self, stop: "_Stop") -> None:
        try:
            with stop.interrupting():
                running = self._start()
            write_private(self.card, msgspec.json.encode(running).decode())
            screen.show(self.console, running)
            watch(self.children, stop.event, self._tell)
        except KeyboardInterrupt:
            self._tell("stopped before it was ready")
        finally:
            self._stop()

    def _start(self) -> Running:
        self._wait_for_port()
        database_url = self._server("DATABASE_URL", embedded.postgres)
        redis_url = self._server("REDIS_URL", embedded.valkey)
        smtp_port, mailbox_port = free_port(), free_port()
        mailbox = self._mailbox(smtp_port, mailbox_port)

        environment = self._environment(database_url, redis_url, smtp_port)
        settings = Settings.from_environment(environment)
        self._migrate(settings)
        first = self._first_steps(settings)

        worker = self._child("worker", self.plan.worker or serve.worker(), environment)
        api = self._child("api", self._api_command(), environment)
        self._wait_until_ready(api, others=(worker, mailbox))
        return self._running(settings, f"http://127.0.0.1:{mailbox_port}", first)

    def _stop(self) -> None:
        started = time.monotonic()
        self.card.unlink(missing_ok=True)
        stop_in_order(self.children)
        self._tell(f"everything stopped in {time.monotonic() - started:.1f} s")

    # ── the parts ────────────────────────────────────────────────────────────────────────────────

    def _server(self, variable: str, make: "embedded.Make") -> str:
        """Ours, unless the environment names another."""
        given = self.plan.environ.get(variable)
        if given:
            return given
        server = make(self.plan.data, self._log(make.__name__))
        self.children.append(Supervised(server.start()))
        return server.url

    def _mailbox(self, smtp_port: int, port: int) -> Process:
        environment = {
            **self.plan.environ,
            "MAILBOX_FOLDER": str(self.plan.data / "mail"),
            "MAILBOX_SMTP_PORT": str(smtp_port),
        }
        return self._child("mailbox", serve.mailbox(host="127.0.0.1", port=port), environment)

    def _child(self, name: str, argv: tuple[str, ...], environment: Mapping[str, str]) -> Process:
        process = Process(
            Program(
                name=name,
                argv=argv,
                environment=environment,
                log=self._log(name),
                folder=serve.ROOT,
            )
        )
        self.children.append(Supervised(process))
        return process

    def _environment(self, database_url: str, redis_url: str, smtp_port: int) -> dict[str, str]:
        """What is set stays; what is not set points here."""
        given = {name: value for name, value in self.plan.environ.items() if value}
        return {
            "SECRET_KEY": given.get("SECRET_KEY") or _kept_secret(self.plan.data / "secret_key"),
            "SMTP_URL": f"smtp://127.0.0.1:{smtp_port}",
            "BASE_URL": self.plan.base_url,
            **given,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
        }

    def _migrate(self, settings: Settings) -> None:
        applied = asyncio.run(migrate(settings.database_url, app_url=settings.app_database_url))
        if applied:
            self._tell(f"{len(applied)} migrations applied, up to {applied[-1]}")

    def _first_steps(self, settings: Settings) -> "_FirstSteps":
        """The same key from one start to the next; a new one only when that opens nothing here."""
        kept = self.plan.data / "demo_key"
        known = kept.read_text("utf-8") if kept.exists() else None
        first = asyncio.run(_first_steps(settings, known))
        if first.demo.api_key != known:
            write_private(kept, first.demo.api_key)
        return first

    def _api_command(self) -> tuple[str, ...]:
        return self.plan.api or serve.api(host=self.plan.host, port=self.plan.port)

    def _wait_until_ready(self, api: Process, others: tuple[Process, ...]) -> None:
        answer = _Readyz(f"{self.plan.base_url}/readyz")
        try:
            wait_until(answer.is_ready, api, timeout_seconds=READY_WITHIN_SECONDS)
        except StackError as error:
            raise StackError(f"{error}\n{answer.said}".rstrip()) from None
        for process in others:
            wait_until(lambda: True, process, timeout_seconds=0)

    def _running(self, settings: Settings, mailbox_url: str, first: "_FirstSteps") -> Running:
        return Running(
            pid=os.getpid(),
            base_url=self.plan.base_url,
            docs_url=f"{self.plan.base_url}/docs",
            console_url=f"{self.plan.base_url}/console",
            first_admin_url=first.admin_url,
            mailbox_url=mailbox_url,
            api_key=first.demo.api_key,
            database_url=settings.database_url,
            redis_url=settings.redis_url,
            data=str(self.plan.data),
            ready_after_seconds=round(time.monotonic() - self.started_at, 2),
        )

    # ── small things ─────────────────────────────────────────────────────────────────────────────

    def _tell(self, sentence: str) -> None:
        self.console.print(f"· {sentence}", style="dim", markup=False, highlight=False)

    def _log(self, name: str) -> Path:
        """Appended to from one start to the next; the one before is kept when it grows large."""
        folder = self.plan.data / "logs"
        folder.mkdir(mode=0o700, exist_ok=True)
        log = folder / f"{name}.log"
        if log.exists() and log.stat().st_size > LARGEST_LOG_BYTES:
            log.replace(folder / f"{name}.log.1")
        return log

    def _wait_for_port(self) -> None:
        """After kill -9 the old API may still be giving it back; dev.json is the trace of that."""
        deadline = time.monotonic() + (10 if self.card.exists() else 0)
        while not _is_free(self.plan.host, self.plan.port):
            if time.monotonic() > deadline:
                raise StackError(
                    f"Port {self.plan.port} is taken. Choose another: make up PORT={free_port()}"
                )
            time.sleep(0.1)


class _Readyz:
    """What the API says about itself; its last words explain a start that never ends."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.said = ""

    def is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url, timeout=5) as answer:  # noqa: S310 (our own)
                return bool(answer.status == 200)
        except urllib.error.HTTPError as error:
            self.said = f"{self.url} says {error.code}: {error.read(2000).decode(errors='replace')}"
        except OSError:
            self.said = ""
        return False


class _Stop:
    """Set by a signal. While starting, the signal also interrupts."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self._interrupts = False

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        self._interrupts = True
        try:
            yield
        finally:
            self._interrupts = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.event.set()
        if self._interrupts:
            self._interrupts = False
            raise KeyboardInterrupt


@contextmanager
def _stopped_by_signals() -> Iterator[_Stop]:
    stop = _Stop()
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, stop.on_signal) for number in numbers}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _alone(data: Path) -> Iterator[None]:
    """One stack per DATA. The lock goes with the process, however it ends."""
    with (data / "lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"Ristourne already runs on {data} (see {data / 'dev.json'}). "
                "For a second one, choose another folder: make up DATA=… PORT=…"
            ) from None
        yield


class _FirstSteps(msgspec.Struct, frozen=True, kw_only=True):
    demo: DemoTenant
    admin_url: str | None


async def _first_steps(settings: Settings, known_key: str | None) -> _FirstSteps:
    pool = await open_pool(settings.app_database_url, size=1)
    try:
        demo = await demo_tenant(pool, settings, now=clock.now(), known_key=known_key)
        token = await first_admin_token(
            pool, demo.tenant.account_id, keyed=links.keyed(settings), now=clock.now()
        )
    finally:
        await pool.close()
    return _FirstSteps(demo=demo, admin_url=None if token is None else links.of_invitation(settings, token))


def _kept_secret(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_hex(32))
    return path.read_text("utf-8")


def _is_free(host: str, port: int) -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
