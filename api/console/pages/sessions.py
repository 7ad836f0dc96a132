"""Where an admin is signed in."""

from datetime import datetime

from litestar.di import NamedDependency
from litestar.response import Template

from api.console.access import sessions
from api.console.declare import page
from api.console.doors import Doors
from api.console.here import Here
from api.console.views import show


@page("/console/sessions")
async def list_sessions(
    here: NamedDependency[Here], doors: NamedDependency[Doors], now: NamedDependency[datetime]
) -> Template:
    assert here.session is not None, "only a signed-in admin comes here"
    live = await sessions.live(doors.pool, here.session.admin_id, now=now)
    return show(here, "sessions.html", sessions=live)


ROUTES = [list_sessions]
