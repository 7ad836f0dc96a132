"""Answers that are no page: the browser is sent on, perhaps with a cookie."""

import re

from litestar import Response
from litestar.datastructures import Cookie

_OURS = re.compile(r"/console(/[A-Za-z0-9_-]+)*")


def see_other(to: str, *cookies: Cookie) -> Response[bytes]:
    return Response(b"", status_code=303, headers={"Location": to}, cookies=cookies)


def ours(path: str) -> str:
    """A page to go on to. What could lead out of the console leads to its front."""
    return path if _OURS.fullmatch(path) else "/console"
