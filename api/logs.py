"""Logs: one line per request or job, structured, with ids and never a secret, a header or a body."""

import logging
import re
import sys

import structlog
from structlog.typing import EventDict, Processor

from api.settings import Settings


def configure(settings: Settings) -> None:
    readable = settings.log_format == "console"
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *([structlog.dev.ConsoleRenderer()] if readable else _FOR_MACHINES),
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


_FOR_MACHINES: list[Processor] = [
    structlog.processors.format_exc_info,
    _without_values,
    structlog.processors.JSONRenderer(),
]
