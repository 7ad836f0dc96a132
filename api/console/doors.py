"""What pages stand before: the pool, the keyed hash, the cookies, the passwords."""

from api.console.access.keyed import Keyed
from api.console.access.passwords import Passwords
from api.console.cookies import Cookies
from kernel.database import Pool


class Doors:
    """For pages without a tenant; one with a tenant has its transaction."""

    def __init__(self, *, pool: Pool, keyed: Keyed, cookies: Cookies, passwords: Passwords) -> None:
        self.pool = pool
        self.keyed = keyed
        self.cookies = cookies
        self.passwords = passwords
