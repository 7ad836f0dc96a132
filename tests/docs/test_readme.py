"""The README's first screen works word by word: its blocks are run in a shell beside a real `make up`."""

import json
import re
import time
import urllib.request

import pytest

from tests.docs.conftest import ROOT, Stack

BLOCK = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
MARK = "<!-- run: "


def blocks() -> list[str]:
    """The shell blocks of the first screen, after the mark and before the next heading."""
    text = (ROOT / "README.md").read_text()
    first_screen = text[text.index(MARK) : text.index("## What next")]
    return BLOCK.findall(first_screen)


@pytest.fixture(scope="module")
def output(stack: Stack) -> str:
    return stack.run("\n".join(blocks()))


def test_every_answer_is_what_was_asked_for(output: str) -> None:
    assert len(blocks()) == 8
    assert '"code"' not in output, "an answer of the README is a problem"


def test_the_invoice_is_numbered_and_paid(output: str) -> None:
    lines = output.splitlines()
    number = next(line for line in lines if re.fullmatch(r"F\d{4}-000001", line))
    assert lines[lines.index(number) + 1] == "settled"


def test_a_code_halves_the_price(output: str) -> None:
    assert "1740" in output.splitlines()  # half of 29.00, and 20 % VAT


def test_each_refund_mode_does_what_it_says(output: str) -> None:
    cancellations = [
        answer
        for answer in map(json.loads, (line for line in output.splitlines() if line.startswith("{")))
        if "to_refund_by_hand" in answer
    ]
    simulated, automatic, manual, deferred = cancellations

    assert [refund["status"] for refund in automatic["refunds"]] == ["pending"]
    assert (manual["refunds"], manual["to_refund_by_hand"]["minor"]) == ([], 1740)
    assert [refund["status"] for refund in deferred["refunds"]] == ["scheduled"]
    assert simulated["credit_notes"][0]["total"] == automatic["credit_notes"][0]["total"]


def test_the_credit_note_is_a_pdf(output: str, stack: Stack) -> None:
    assert (stack.home / "credit-note.pdf").read_bytes().startswith(b"%PDF-")


def test_the_customer_has_mail(output: str, stack: Stack) -> None:
    deadline = time.monotonic() + 15
    wanted = {"Votre facture F", "Votre avoir A", "Votre remboursement"}
    while missing := {subject for subject in wanted if subject not in _page(stack.card["mailbox_url"])}:
        assert time.monotonic() < deadline, f"no mail says {missing}"
        time.sleep(0.2)


def _page(url: str) -> str:
    with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 (loopback, ours)
        return str(response.read().decode())
