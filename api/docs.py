"""What people read: the API's description, a page that shows it, and the list of problems.

Everything comes from this process: the page also works where there is no internet.
"""

import html
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler
from litestar.params import FromPath

PAGE = Path(__file__).parent / "docs_page"
PROBLEMS = Path(__file__).parent.parent / "docs" / "problems.md"
ASSETS = {
    "swagger-ui.css": "text/css",
    "swagger-ui-bundle.js": "text/javascript",
    "start.js": "text/javascript",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}
CODE = re.compile(r"^\| `(\w+)` \| (\d{3}) \| (.+) \|$", re.MULTILINE)


def handlers(describe: Callable[[], dict[str, Any]]) -> list[HTTPRouteHandler]:
    """`describe` makes the OpenAPI document, when it is first asked for."""

    @cache
    def document() -> bytes:
        return msgspec.json.encode(describe())

    @get("/openapi.json", include_in_schema=False)
    async def openapi_json() -> Response[bytes]:
        return Response(document(), media_type="application/json", headers=HEADERS)

    return [openapi_json, docs_page, docs_asset, docs_problems]


@get("/docs", include_in_schema=False)
async def docs_page() -> Response[bytes]:
    return _html(_read("index.html"))


@get("/docs/assets/{name:str}", include_in_schema=False)
async def docs_asset(name: FromPath[str]) -> Response[bytes]:
    if name not in ASSETS:
        raise NotFoundException
    headers = {**HEADERS, "Cache-Control": "public, max-age=86400"}
    return Response(_read(name), media_type=ASSETS[name], headers=headers)


@get("/docs/problems", include_in_schema=False)
async def docs_problems() -> Response[bytes]:
    """Each code is an anchor, to which the `type` of a problem leads."""
    return _html(_problems())


def _html(page: bytes) -> Response[bytes]:
    return Response(page, media_type="text/html", headers=HEADERS)


@cache
def _read(name: str) -> bytes:
    return (PAGE / name).read_bytes()


@cache
def _problems() -> bytes:
    rows = "\n".join(
        f'<tr id="{code}"><td><code>{code}</code></td><td>{status}</td><td>{html.escape(meaning)}</td></tr>'
        for code, status, meaning in CODE.findall(PROBLEMS.read_text())
    )
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Problems</title>'
        "<style>body{font:16px/1.5 system-ui;max-width:60rem;margin:2rem auto;padding:0 1rem}"
        "td{padding:.4rem 1rem .4rem 0;vertical-align:top}:target{background:#ff9}</style></head>"
        f"<body><h1>Problems</h1><table>{rows}</table></body></html>"
    ).encode()
