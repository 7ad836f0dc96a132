"""`ristourne demo --year`: a company's past, told on a test clock until today."""

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import httpx
import pytest

from api.demo import year
from tests.docs.conftest import ROOT, Stack
from tests.docs.test_demo import listed

WEEKS = 4


def tell(stack: Stack, weeks: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(sys.executable, "-m", "api", "demo", "--year", "--weeks", str(weeks)),
            *("--data", str(stack.home / ".ristourne")),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A stack of its own: the clock of its tenant is moved."""
    home: Path = tmp_path_factory.mktemp("year")
    stack = Stack(home)
    yield stack
    stack.stop()


def test_the_first_weeks_are_told_and_end_today(fresh: Stack) -> None:
    told = tell(fresh, WEEKS)
    assert told.returncode == 0, told.stderr

    arrived = sum(len(week) for week in year.people()[:WEEKS])
    assert len(listed(fresh, "customers")) == arrived
    assert len(listed(fresh, "plans")) == len(year.PLANS) + len(year.ADDONS)
    issued = [str(invoice["issued_on"]) for invoice in listed(fresh, "invoices")]
    today = datetime.now(UTC).date()
    assert min(issued) <= str(today - timedelta(weeks=WEEKS - 1))
    assert max(issued) <= str(today)

    assert differences(fresh) == 0, "the rules in force give exactly the invoices that exist"

    again = tell(fresh, WEEKS)
    assert again.returncode == 1
    assert "a tenant without customers" in again.stderr
    assert len(listed(fresh, "customers")) == arrived


def differences(stack: Stack) -> int:
    """Of a back-test of the rules in force, which a worker carries out."""
    with httpx.Client(
        base_url=f"{stack.card['base_url']}/v1/promotions",
        headers={"Authorization": f"Bearer {stack.card['api_key']}"},
    ) as http:
        year = {"starts_at": "2020-01-01T00:00:00Z", "ends_at": "2099-01-01T00:00:00Z"}
        asked = http.post("/backtests", json={**year, "rules": "in_force"})
        assert asked.status_code == 202, asked.text
        deadline = time.monotonic() + 30
        while (done := http.get(f"/backtests/{asked.json()['id']}").json())["status"] != "done":
            assert time.monotonic() < deadline, done
            time.sleep(0.2)
    assert done["findings"]["applied"] > 0
    count: int = done["findings"]["difference_count"]
    return count


def test_the_year_is_the_same_each_time_and_has_everything_in_it() -> None:
    people = [person for week in year.people() for person in week]
    draw = Random(1)  # noqa: S311 - a story, not a secret
    wishes = {year.wish(draw) for _ in range(1000)}

    assert year.people() == year.people()
    assert len(people) == year.CUSTOMERS
    assert len({person.reference for person in people}) == year.CUSTOMERS
    assert {person.plan for person in people} == {plan["reference"] for plan in year.PLANS}
    assert {person.offer for person in people} == {offer["reference"] for offer in year.OFFERS} | {None}
    assert wishes == {what for _, what in year.WISHES} | {None}
    models = {str(price.get("model", "flat")) for plan in year.PLANS for price in plan["prices"]}  # type: ignore[attr-defined]
    assert models == {"flat", "per_unit", "package", "volume", "graduated"}
