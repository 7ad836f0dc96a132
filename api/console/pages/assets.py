"""What pages bring along: styles and scripts, all of them from this process."""

from litestar import Response, get
from litestar.params import FromPath

from api.console.access.model import Refused
from api.console.views import ASSETS

MEDIA_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@get("/console/assets/{name:str}", include_in_schema=False)
async def asset(name: FromPath[str]) -> Response[bytes]:
    if name not in ASSETS:
        raise Refused(404, "There is no such file.")
    return Response(
        ASSETS[name],
        media_type=MEDIA_TYPES[name.rpartition(".")[2]],
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


ROUTES = [asset]
