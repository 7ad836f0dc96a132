"""docs/lifecycle.md shows bodies that are accepted, and numbers that hold."""

import re

import msgspec
import pytest

from kernel.structs import from_wire
from refunds.model import NewCancellation, NewChange, NewSubscriptionPause
from subscriptions import schedule
from subscriptions.model import NewMigration, NewSubscription, PhaseSchedule
from tests.docs.conftest import ROOT

TEXT = (ROOT / "docs" / "lifecycle.md").read_text()
SHOWN = dict(re.findall(r"`POST (\S+)`\n```json\n(.*?)```", TEXT, re.DOTALL))
BODIES: dict[str, type[msgspec.Struct]] = {
    "/v1/subscriptions": NewSubscription,
    "/v1/subscriptions/{id}/change": NewChange,
    "/v1/subscriptions/{id}/schedule_phases": PhaseSchedule,
    "/v1/plans/{plan}/migrate": NewMigration,
    "/v1/subscriptions/{id}/pause": NewSubscriptionPause,
    "/v1/subscriptions/{id}/cancel": NewCancellation,
}


def test_every_body_is_read() -> None:
    assert SHOWN.keys() == BODIES.keys()


@pytest.mark.parametrize("path", BODIES)
def test_what_is_shown_is_accepted(path: str) -> None:
    shown = msgspec.json.decode(SHOWN[path])
    read = msgspec.convert(shown, BODIES[path], dec_hook=from_wire)
    assert set(shown) <= set(read.__struct_fields__)


def test_how_far_back_a_start_may_lie() -> None:
    assert "(a year, sixty periods at most)" in TEXT
    assert (schedule.FARTHEST.days, schedule.MOST_PERIODS) == (366, 60)
