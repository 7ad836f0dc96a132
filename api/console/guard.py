"""The headers of whatever is answered under /console, a page or not: the outermost layer asks for them."""

from litestar.enums import ScopeType
from litestar.types import Message, Scope, Send

HEADERS = {
    b"content-security-policy": (
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    b"x-frame-options": b"DENY",
    b"x-content-type-options": b"nosniff",
    # Not no-referrer: with it a browser sends `Origin: null` with a form, and we could not tell whose it is.
    b"referrer-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
}


def is_console(scope: Scope) -> bool:
    return scope["type"] == ScopeType.HTTP and f"{scope['path']}/".startswith("/console/")


def guarded(scope: Scope, send: Send) -> Send:
    """What sends an answer with the headers it needs, for a path of the console."""
    if not is_console(scope):
        return send

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            own = {name.lower() for name, _ in message["headers"]}
            more = [(name, value) for name, value in HEADERS.items() if name not in own]
            message["headers"] = [*message["headers"], *more]
        await send(message)

    return with_headers
