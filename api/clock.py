"""The one file that reads the clock. Everything else is told what time it is."""

from datetime import UTC, datetime


def now() -> datetime:
    return datetime.now(UTC)
