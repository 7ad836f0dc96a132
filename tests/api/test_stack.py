"""`make up`, with stand-ins for the API and the worker: it starts, survives, stops, and forgets nothing."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import asyncpg
import msgspec
import pytest

from api.serve import ROOT
from api.stack import embedded
from api.stack.embedded import free_port
from api.stack.processes import Process, Program
from api.stack.supervisor import Supervised
from api.stack.up import Running


class Stack:
    """One `make up`, seen from outside."""

    def __init__(self, data: Path, *more: str, port: int | None = None, **environment: str) -> None:
        self.data = data
        self.port = port or free_port()
        self.log = data.with_name(f"{data.name}-{self.port}.log")
        keep = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        with self.log.open("w") as log:
            self.popen = subprocess.Popen(
                (sys.executable, "-m", "tests.api.standins", "up", str(data), str(self.port), *more),
                cwd=ROOT,
                env=keep | environment,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def ready(self) -> "Stack":
        card = self.data / "dev.json"
        eventually(lambda: self.popen.poll() is not None or self._is_mine(card), 40)
        assert self.popen.poll() is None, self.said()
        return self

    def _is_mine(self, card: Path) -> bool:
        return card.exists() and self.running().pid == self.popen.pid

    def running(self) -> Running:
        return msgspec.json.decode((self.data / "dev.json").read_bytes(), type=Running)

    def end(self, number: signal.Signals) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(40)

    def said(self) -> str:
        """In one line: a person's terminal is wider than a test's."""
        return " ".join(self.log.read_text("utf-8").split())

    def family(self) -> list[int]:
        return descendants(self.popen.pid)

    def query(self, sql: str) -> object:
        return asyncio.run(self._query(sql))

    async def _query(self, sql: str) -> object:
        conn = await asyncpg.connect(self.running().database_url)
        try:
            value: object = await conn.fetchval(sql)
            return value
        finally:
            await conn.close()


Start = Callable[..., Stack]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start stacks; whatever happens, none of them and nothing of theirs stays."""
    stacks: list[Stack] = []

    def one(data: Path, *more: str, port: int | None = None, **environment: str) -> Stack:
        stacks.append(Stack(data, *more, port=port, **environment))
        return stacks[-1]

    yield one
    for stack in stacks:
        if stack.popen.poll() is None:
            stack.end(signal.SIGTERM)
        shutil.rmtree((stack.data / "postgres").resolve(), ignore_errors=True)
        shutil.rmtree(stack.data, ignore_errors=True)


@pytest.fixture
def data() -> Iterator[Path]:
    """A short path, in a folder nobody else may enter: like a home."""
    with tempfile.TemporaryDirectory(prefix="ristourne-test-") as home:
        assert Path(home).stat().st_mode & 0o077 == 0
        yield Path(home) / "data"


def eventually(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def descendants(pid: int) -> list[int]:
    children = [
        int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit() and _parent(path) == pid
    ]
    return [*children, *(deeper for child in children for deeper in descendants(child))]


def _parent(process: Path) -> int | None:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"  # dead, and only waiting to be buried by init


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 (our own)
            return bool(answer.status == 200)
    except OSError:
        return False


def test_ctrl_c_stops_all_and_the_next_start_finds_its_data(data: Path, start: Start) -> None:
    first = start(data).ready()
    family, secret, key = first.family(), (data / "secret_key").read_text(), first.running().api_key
    first.query("CREATE TABLE kept AS SELECT 42 AS answer")

    assert first.end(signal.SIGINT) == 0
    assert not any(lives(pid) for pid in family)
    assert not (data / "dev.json").exists()

    second = start(data).ready()
    assert second.query("SELECT answer FROM kept") == 42
    assert (data / "secret_key").read_text() == secret
    assert second.running().api_key == key


def test_kill_9_leaves_no_orphan_and_the_next_start_finds_its_data(data: Path, start: Start) -> None:
    first = start(data).ready()
    family = first.family()
    assert {"postgres", "valkey-server"} <= {name_of(pid) for pid in family}
    first.query("CREATE TABLE kept AS SELECT 42 AS answer")

    first.end(signal.SIGKILL)
    second = start(data)  # at once, while the old ones may still be stopping

    eventually(lambda: not any(lives(pid) for pid in family))
    assert second.ready().query("SELECT answer FROM kept") == 42


def test_a_lock_left_by_another_process_with_that_pid_is_no_problem(data: Path, start: Start) -> None:
    first = start(data).ready()
    first.end(signal.SIGINT)
    (data / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")

    start(data).ready()


def test_only_the_owner_of_a_closed_folder_is_trusted(data: Path, start: Start) -> None:
    stack = start(data).ready()

    assert data.parent.stat().st_mode & 0o077 == 0
    assert stack.query("SELECT 1") == 1
    for private in ("secret_key", "demo_key", "dev.json", "valkey/valkey.conf", "postgres/password"):
        assert (data / private).stat().st_mode & 0o077 == 0
    home = (data / "postgres").resolve()
    assert (home == data / "postgres") is (os.geteuid() != 0)
    assert (home / "data").stat().st_uid != 0


def test_two_run_side_by_side_and_one_folder_serves_one(data: Path, start: Start) -> None:
    one = start(data).ready()
    two = start(data.with_name("other")).ready()
    again = start(data)

    assert one.running().base_url != two.running().base_url
    one.query("CREATE TABLE mine (id integer)")
    assert two.query("SELECT to_regclass('mine')") is None
    assert again.popen.wait(20) == 1
    assert f"already runs on {data}" in again.said()


def test_who_dies_is_started_again(data: Path, start: Start) -> None:
    stack = start(data).ready()
    by_name = {
        name_of(pid): pid for pid in stack.family() if _parent(Path(f"/proc/{pid}")) == stack.popen.pid
    }

    os.kill(by_name["postgres"], signal.SIGKILL)
    os.kill(by_name["valkey-server"], signal.SIGKILL)
    os.kill(by_name["granian"], signal.SIGKILL)

    eventually(lambda: answers(stack.running().mailbox_url) and "postgres stopped" in stack.said())
    eventually(lambda: _answers_again(stack))
    assert "mailbox stopped; starting it again in 0.2 s" in stack.said()


def _answers_again(stack: Stack) -> bool:
    try:
        return stack.query("SELECT 1") == 1
    except (OSError, asyncpg.PostgresError):
        return False


def test_who_dies_again_and_again_is_started_later_and_later(tmp_path: Path) -> None:
    log = tmp_path / "log"
    program = Program(name="brief", argv=("/bin/true",), environment={}, log=log)
    child = Supervised(Process(program))
    waits, now = [], time.monotonic()

    for _ in range(9):
        child.process.stop()
        news = child.look(now)
        assert news is not None
        waits.append(float(news.split(" s (")[0].split()[-1]))
        now += waits[-1] + 0.01
        child.look(now)

    assert waits == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0, 15.0]
    child.process.stop()
    news = child.look(now + 21)
    assert news is not None
    assert "again in 0.2 s" in news


def test_a_part_that_cannot_start_ends_it_with_its_last_words(data: Path, start: Start) -> None:
    stack = start(data, "--api", "fails")

    assert stack.popen.wait(30) == 1
    assert "api stopped while starting. Its last lines: the plan for port" in stack.said()
    assert not stack.family()


def test_a_taken_port_is_one_sentence(data: Path, start: Start) -> None:
    one = start(data).ready()

    refused = subprocess.run(
        (sys.executable, "-m", "tests.api.standins", "up", str(data.with_name("other")), str(one.port)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert refused.returncode == 1
    assert f"Port {one.port} is taken. Choose another: make up PORT=" in refused.stderr


def test_a_port_that_a_killed_stack_still_holds_is_waited_for(data: Path, start: Start) -> None:
    first = start(data).ready()
    first.end(signal.SIGKILL)
    with socket.socket() as holder:
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        eventually(lambda: _binds(holder, first.port))
        second = start(data, port=first.port)
        time.sleep(2)
        assert second.popen.poll() is None, second.said()

    second.ready()


def _binds(holder: socket.socket, port: int) -> bool:
    try:
        holder.bind(("127.0.0.1", port))
    except OSError:
        return False
    holder.listen()
    return True


def test_servers_named_by_the_environment_replace_ours(
    data: Path, start: Start, server_urls: None, redis_url: str
) -> None:
    stack = start(data, DATABASE_URL=os.environ["TEST_DATABASE_URL"], REDIS_URL=redis_url).ready()

    assert not {"postgres", "valkey-server"} & {name_of(pid) for pid in stack.family()}
    assert stack.running().redis_url == redis_url
    assert stack.query("SELECT count(*) > 0 FROM schema_migrations") is True


def test_a_path_too_long_for_a_socket_falls_back_to_loopback(data: Path, start: Start) -> None:
    data.parent.chmod(0o755)  # so that PostgreSQL stays in this path, as root too
    stack = start(data.with_name("long" * 25)).ready()

    assert "@127.0.0.1:" in stack.running().database_url
    assert stack.query("SELECT 1") == 1


def test_settings_are_durable(data: Path, start: Start) -> None:
    stack = start(data).ready()

    for name in ("fsync", "full_page_writes", "synchronous_commit"):
        assert stack.query(f"SHOW {name}") == "on"


def test_a_half_made_cluster_is_made_again(data: Path, start: Start) -> None:
    data.mkdir()
    half = embedded.postgres_home(data) / "data.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18")

    assert start(data).ready().query("SELECT 1") == 1
