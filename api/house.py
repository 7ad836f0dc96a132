"""What a worker works with."""

from collections.abc import Callable
from datetime import datetime

from api.gateways import Gateways
from kernel.database import Pool
from kernel.structs import Value
from notifications.mailer import Mailer


class House(Value, frozen=True, kw_only=True):
    """The doors to the world outside the database, and the clock."""

    pool: Pool
    gateways: Gateways
    mailer: Mailer
    now: Callable[[], datetime]
