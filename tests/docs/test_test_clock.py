"""docs/test-clock.md works word by word, beside a real `make up`: a year passes in it."""

import json
from datetime import date

import pytest

from tests.docs.conftest import ROOT, Stack
from tests.docs.test_readme import BLOCK, MARK, blocks


def shown() -> list[str]:
    text = (ROOT / "docs" / "test-clock.md").read_text()
    return BLOCK.findall(text[text.index(MARK) :])


@pytest.fixture(scope="module")
def output(stack: Stack) -> list[str]:
    """After the first block of the README, which the page asks for."""
    return stack.run("\n".join([blocks()[0], *shown()])).splitlines()


def test_every_answer_is_what_was_asked_for(output: list[str]) -> None:
    assert len(shown()) == 3
    assert not [line for line in output if '"code"' in line], "an answer of the page is a problem"


def test_a_year_has_passed(output: list[str]) -> None:
    advancing, ready = (json.loads(line) for line in output if line.startswith('{"status"'))
    assert (advancing["status"], ready["status"]) == ("advancing", "ready")
    assert ready["now_at"] == advancing["advancing_to"]
    assert ready["unfinished"] == []


def test_thirteen_invoices_are_paid_each_on_its_day(output: list[str]) -> None:
    newest, oldest, paid = (date.fromisoformat(line) for line in output[-3:])
    assert newest == paid
    assert (newest.year, newest.month) == (oldest.year + 1, oldest.month)
