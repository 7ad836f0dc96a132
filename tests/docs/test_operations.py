"""docs/operations.md says what is true."""

import re

from api.settings import VARIABLES
from kernel import jobs
from tests.docs.conftest import ROOT

TEXT = (ROOT / "docs" / "operations.md").read_text()


def test_every_variable_of_the_environment_is_in_the_table() -> None:
    table = TEXT[TEXT.index("| variable |") : TEXT.index("The owner's URL")]
    assert set(re.findall(r"`([A-Z_]+)`", table)) == {variable.name for variable in VARIABLES}


def test_the_number_of_attempts_and_the_time_they_take() -> None:
    total = sum(jobs.backoff(attempt).total_seconds() for attempt in range(1, jobs.MAX_ATTEMPTS))
    assert "failed thirty times" in TEXT
    assert jobs.MAX_ATTEMPTS == 30
    assert round(total / 86_400) == 4
