"""The page on Stripe lists the events that are followed, and no others."""

import re
from pathlib import Path

from webhooks.stripe_events import EVENTS

PAGE = Path(__file__).parent.parent.parent / "docs" / "stripe.md"


def test_the_events_to_subscribe_to_are_those_that_are_followed() -> None:
    (block,) = re.findall(r"```\n(payment_intent.+?)```", PAGE.read_text(), re.DOTALL)
    assert block.split() == list(EVENTS)
