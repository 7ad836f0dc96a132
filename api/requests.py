"""How a body becomes a struct, and a value an answer: strictly, by the kernel's own rules."""

from typing import Any

from litestar import Request, Response
from litestar.datastructures import State
from typing_extensions import override

from kernel.structs import decode, encode


class StrictRequest(Request[Any, Any, State]):
    """The framework would convert loosely, `"5"` to 5. Here a body is read as the type it is for."""

    @override
    async def body(self) -> bytes:
        """No body says as much as an empty object: nothing that must be said."""
        return await super().body() or b"{}"

    @override
    async def json(self) -> Any:
        field = self.route_handler.parsed_data_field
        assert field is not None, "only a handler that takes data asks for it"
        return decode(await self.body(), field.annotation)


class PlainResponse(Response[Any]):
    @override
    def render(self, content: Any, media_type: str, enc_hook: Any = None) -> bytes:
        if media_type.startswith("application/json"):
            return encode(content)
        return super().render(content, media_type)
