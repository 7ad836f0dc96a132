"""docs/usage.md works word by word, beside a real `make up`."""

import pytest

from tests.docs.conftest import ROOT, Stack
from tests.docs.test_readme import BLOCK, MARK, blocks


def shown() -> list[str]:
    text = (ROOT / "docs" / "usage.md").read_text()
    return BLOCK.findall(text[text.index(MARK) :])


@pytest.fixture(scope="module")
def output(stack: Stack) -> list[str]:
    """After the first block of the README, which the page asks for."""
    return stack.run("\n".join([blocks()[0], *shown()])).splitlines()


def test_every_answer_is_what_was_asked_for(output: list[str]) -> None:
    assert len(shown()) == 4
    assert not [line for line in output if '"type":"/docs/problems' in line], "an answer is a problem"


def test_usage_counts_once_costs_what_it_says_and_is_billed_at_the_end(output: list[str]) -> None:
    assert output[-6:] == [
        "2",
        "2",
        "{'minor': 501, 'currency': 'EUR'}",
        "{'sso': True, 'calls': 2000}",
        "499",
        "API calls (> 1000)",
    ]
