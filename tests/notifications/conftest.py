"""A mail server on the loopback, and somebody who writes to it."""

from collections.abc import AsyncIterator

import pytest

from notifications.mailer import Mailer
from tests.notifications.inbox import Inbox


@pytest.fixture
async def inbox() -> AsyncIterator[Inbox]:
    inbox = Inbox()
    await inbox.open()
    try:
        yield inbox
    finally:
        await inbox.close()


@pytest.fixture
def mailer(inbox: Inbox) -> Mailer:
    return Mailer(inbox.url, "Ristourne <billing@ristourne.example>")
