"""The two cookies of the console, and the token that binds a form to one of them.

visitor ──▶ signed in     one cookie, whose value is another after each sign-in: a planted one dies there

The other one says that somebody signed in here before (api/console/access/backoff.py). Where the console is
reached by TLS both are `__Host-` cookies: no other host of the same domain can plant them.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from litestar.datastructures import Cookie

from api.console.access.keyed import Keyed, chance
from api.console.access.model import Refused

_VALUE = re.compile(r"[A-Za-z0-9_-]{43}")
_DEVICE = re.compile(r"([A-Za-z0-9_-]{43})\.([A-Za-z0-9_-]{43})")
DEVICE_LASTS_SECONDS = 180 * 86400


class TwoCookies(Refused):
    """Somebody else has set one of our name, and we cannot tell which is ours.

    `ended` ends one of the path /console; one of a domain above us only its owner can.
    """

    def __init__(self, ended: Cookie) -> None:
        super().__init__(
            400,
            "Your browser sent two cookies by the name of this console's, so we cannot tell which is ours. "
            "Another page of this host, or of one above it, has set the other. We have asked your browser to "
            "drop it: reload this page. If that does not help, delete the cookies of this host.",
        )
        self.ended = ended


class Cookies:
    def __init__(self, base_url: str, keyed: Keyed) -> None:
        parts = urlsplit(base_url)
        # Cookies do not know of ports: two consoles on one machine must not take each other's.
        self._prefix = "__Host-ristourne" if parts.scheme == "https" else f"ristourne-{parts.port or 80}"
        self._secure = parts.scheme == "https"
        self._keyed = keyed

    def session_id(self, headers: Mapping[bytes, bytes]) -> str | None:
        """What the browser came with, signed in or not; None when it is nothing we ever gave."""
        values = _read(headers, self._prefix)
        if len(values) > 1:
            raise TwoCookies(self._cookie(self._prefix, "", path="/console", max_age=0))
        return values[0] if values and _VALUE.fullmatch(values[0]) else None

    def session(self, session_id: str) -> Cookie:
        return self._cookie(self._prefix, session_id)

    def no_session(self) -> Cookie:
        return self._cookie(self._prefix, "", max_age=0)

    # ── a browser that is known ──────────────────────────────────────────────────────────────────

    def device(self, headers: Mapping[bytes, bytes], name: str) -> str | None:
        """The browser's own name, when this admin signed in from it before."""
        values = _read(headers, f"{self._prefix}-device")
        match = _DEVICE.fullmatch(values[0]) if len(values) == 1 else None
        if match is None or not self._keyed.is_signed("device", _owned(name, match[1]), match[2]):
            return None
        return match[1]

    def new_device(self, name: str) -> Cookie:
        device = chance()
        value = f"{device}.{self._keyed.sign('device', _owned(name, device))}"
        return self._cookie(f"{self._prefix}-device", value, max_age=DEVICE_LASTS_SECONDS)

    # ── forms ────────────────────────────────────────────────────────────────────────────────────

    def token(self, session_id: str) -> str:
        return self._keyed.sign("form", session_id)

    def check_token(self, session_id: str | None, token: str) -> None:
        if session_id is None:
            raise Refused(403, "Your browser sent no cookie. Allow cookies for this console and try again.")
        if not self._keyed.is_signed("form", session_id, token):
            raise Refused(403, "This form is out of date. Go back, reload the page and send it again.")

    def _cookie(self, key: str, value: str, *, path: str = "/", max_age: int | None = None) -> Cookie:
        return Cookie(
            key=key,
            value=value,
            path=path,
            httponly=True,
            samesite="lax",
            secure=self._secure,
            max_age=max_age,
        )


def _read(headers: Mapping[bytes, bytes], name: str) -> list[str]:
    """The cookies of this name. Of two, somebody has planted one."""
    pairs = (pair.strip().partition("=") for pair in headers.get(b"cookie", b"").decode("latin-1").split(";"))
    return [value for key, _, value in pairs if key == name]


def _owned(name: str, device: str) -> str:
    return f"{name}\0{device}"
