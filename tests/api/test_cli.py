"""The command line: sentences instead of tracebacks, exit codes a script can trust, JSON on request."""

import json
import subprocess
import sys

import pytest

from api.settings import VARIABLES, Settings
from tests import servers


def ristourne(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        (sys.executable, "-m", "api", *arguments),
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def environment_of(settings: Settings) -> dict[str, str]:
    return {
        "DATABASE_URL": settings.database_url,
        "REDIS_URL": settings.redis_url,
        "SECRET_KEY": settings.secret_key.hex(),
        "SMTP_URL": "smtp://127.0.0.1:1",
    }


def test_help_names_every_command_and_every_variable() -> None:
    said = ristourne("--help")

    assert said.returncode == 0
    for command in ("up", "api", "worker", "migrate", "mailbox", "doctor"):
        assert f"  {command} " in said.stdout
    for variable in VARIABLES:
        assert variable.name in said.stdout


@pytest.mark.parametrize("command", ["api", "worker", "migrate", "doctor"])
def test_a_missing_variable_is_one_sentence_and_exit_code_2(command: str) -> None:
    said = ristourne(command)

    assert said.returncode == 2
    assert said.stderr.startswith("Error: DATABASE_URL is not set: ")
    assert len(said.stderr.splitlines()) == 1


def test_a_command_that_is_not_there_is_exit_code_2() -> None:
    assert ristourne("dance").returncode == 2


def test_a_database_that_is_not_there_is_exit_code_1() -> None:
    said = ristourne(
        "migrate",
        DATABASE_URL="postgresql://a:secret@127.0.0.1:1/b",
        REDIS_URL="redis://127.0.0.1:1",
        SECRET_KEY="ab" * 32,
    )

    assert said.returncode == 1
    assert "cannot be reached" in said.stderr
    assert "secret" not in said.stderr


async def test_status_tells_a_script_whether_something_is_pending(settings: Settings) -> None:
    done = ristourne("migrate", "--status", "--json", **environment_of(settings))
    assert done.returncode == 0
    assert all(migration["applied_at"] for migration in json.loads(done.stdout))

    async with servers.a_database() as empty:
        environment = {**environment_of(settings), "DATABASE_URL": empty.owner_url}
        pending = ristourne("migrate", "--status", **environment)
        assert pending.returncode == 1
        assert "pending  0001_" in pending.stdout

        applied = ristourne("migrate", "--json", **environment)
        assert json.loads(applied.stdout)["applied"][0].startswith("0001_")
        assert ristourne("migrate", **environment).stdout == "nothing to do\n"


def test_the_doctor_says_what_is_bad_and_what_to_do(settings: Settings) -> None:
    said = ristourne("doctor", **environment_of(settings))

    assert said.returncode == 1  # nobody takes mail at port 1
    assert "✗" in said.stdout
    assert "Check SMTP_URL." in said.stdout


def test_the_doctor_speaks_json(settings: Settings) -> None:
    checks = json.loads(ristourne("doctor", "--json", **environment_of(settings)).stdout)

    assert [check["name"] for check in checks if not check["ok"]] == ["smtp"]
