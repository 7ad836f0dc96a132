"""Logs: one line per request or job, structured, with ids and never a secret, a header or a body."""

import logging
import re
import sys

import structlog
from structlog.typing import EventDict

from api.settings import Settings


def configure(settings: Settings) -> None:
    readable = settings.log_format == "console"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # A traceback in text: the prettier ones print local variables, and with them every secret.
            structlog.processors.format_exc_info,
            _without_values,
            _FOR_PEOPLE if readable else structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(settings.log_level)),
        logger_factory=structlog.PrintLoggerFactory(sys.stdout),
        cache_logger_on_first_use=True,
    )


def _without_values(_: object, __: str, event: EventDict) -> EventDict:
    """PostgreSQL's DETAIL quotes the row that stood in the way, and with it whoever it is about."""
    if "exception" in event:
        event["exception"] = re.sub(r"(?m)^\s*DETAIL:.*$", "", event["exception"])
    return event


_FOR_PEOPLE = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
