"""docs/credit-notes.md works word by word."""

import re

import pytest

from billing.parties.model import RefundMode
from refunds.model import NEXT, Status
from tests.docs.conftest import ROOT, Stack
from tests.docs.test_readme import BLOCK, MARK, blocks

TEXT = (ROOT / "docs" / "credit-notes.md").read_text()
SHOWN = BLOCK.findall(TEXT[TEXT.index(MARK) :])
PRINTED = re.compile(r"^#> (.*)$", re.MULTILINE)


def test_every_line_prints_what_the_page_says(stack: Stack) -> None:
    """After the first block of the README, which the page asks for."""
    printed = stack.run("\n".join([blocks()[0], *SHOWN])).splitlines()
    assert [line for line in printed if line] == PRINTED.findall("\n".join(SHOWN))


@pytest.mark.parametrize("mode", RefundMode)
def test_every_refund_mode_is_explained(mode: RefundMode) -> None:
    assert f"| `{mode}` |" in TEXT


def test_what_may_follow_a_failure_is_told() -> None:
    told = {"retry": "retried", "convert_to_balance": "converted_to_balance",
            "record_external": "recorded_external", "cancel": "cancelled"}  # fmt: skip
    assert {str(status) for status in NEXT[Status.FAILED]} == set(told.values())
    for verb in told:
        assert f"`/{verb}`" in TEXT
