"""`ristourne demo`: a believable company, and telling its story twice changes nothing."""

import subprocess
import sys
from collections import Counter

import httpx
import pytest

from tests.docs.conftest import ROOT, Stack


def play(stack: Stack) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "api", "demo", "--data", str(stack.home / ".ristourne")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def told(stack: Stack) -> Stack:
    first = play(stack)
    assert first.returncode == 0, first.stderr
    return stack


def listed(stack: Stack, what: str) -> list[dict[str, object]]:
    response = httpx.get(
        f"{stack.card['base_url']}/v1/{what}?limit=100",
        headers={"Authorization": f"Bearer {stack.card['api_key']}"},
    )
    found: list[dict[str, object]] = response.json()["data"]
    return found


def test_a_dozen_customers_three_plans_and_every_refund_mode(told: Stack) -> None:
    assert len(listed(told, "plans")) == 3
    assert len(listed(told, "customers")) == 12
    assert Counter(note["refund_mode"] for note in listed(told, "credit_notes")) == {
        "automatic": 1,
        "manual": 1,
        "deferred": 1,
        "none": 1,
    }


def test_telling_it_twice_changes_nothing(told: Stack) -> None:
    kinds = ("plans", "offers", "customers", "subscriptions", "invoices", "credit_notes", "refunds")
    before = {kind: len(listed(told, kind)) for kind in kinds}

    again = play(told)

    assert again.returncode == 0, again.stderr
    assert {kind: len(listed(told, kind)) for kind in kinds} == before


def test_without_a_running_stack_it_says_what_to_do() -> None:
    alone = subprocess.run(
        [sys.executable, "-m", "api", "demo", "--data", "/nonexistent"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert alone.returncode == 1
    assert "make up" in alone.stderr


def test_commands_find_the_stack_that_runs_here(stack: Stack) -> None:
    listed_here = subprocess.run(
        [sys.executable, "-m", "api", "tenant", "list"],
        cwd=ROOT,
        env={"DATA": str(stack.home / ".ristourne")},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert listed_here.returncode == 0, listed_here.stderr
    assert "test  Demo" in listed_here.stdout
