"""A traceback in the log holds no secret and nobody's data, in either format."""

import contextlib
import io
from collections.abc import Iterator

import msgspec
import pytest
import structlog

from api import logs
from api.settings import Settings


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    yield
    structlog.reset_defaults()


# Put together here, since the text of a traceback holds the lines of the source.
PASSWORD = "-".join(["hunter2"] * 2)
SOMEBODY = "zoe@example.com"


def failing(password: str) -> None:
    local = {"authorization": f"Bearer {password}"}
    row = f"DETAIL:  Key (email)=({SOMEBODY}) exists."
    raise ValueError(f"{len(local)} went wrong\n{row}")


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_traceback_prints_neither_locals_nor_rows(settings: Settings, log_format: str) -> None:
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        logs.configure(msgspec.structs.replace(settings, log_format=log_format))
        try:
            failing(PASSWORD)
        except ValueError as error:
            structlog.get_logger("test").error("unexpected", exc_info=error)

    said = printed.getvalue()
    assert "went wrong" in said
    assert "failing" in said
    assert PASSWORD not in said
    assert SOMEBODY not in said
