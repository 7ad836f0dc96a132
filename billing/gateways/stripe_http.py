"""How the SDK of Stripe reaches the network: one httpx client per event loop, with times we chose.

The SDK's own client sends a description of the machine with every request, and hands bodies to httpx in a
way that is deprecated there.
"""

import asyncio
from collections.abc import Mapping

import httpx
import stripe

# Looking up and sending fit into the time of one job.
TIMEOUT = httpx.Timeout(18, connect=5)
_TELLS_ON_US = frozenset({"x-stripe-client-user-agent", "x-stripe-client-telemetry"})


class StripeHttp(stripe.HTTPClient):
    """Make it inside the loop that uses it, and close it there. Any number of keys may share it."""

    name = "httpx"

    def __init__(
        self, transport: httpx.AsyncBaseTransport | None = None, *, timeout: httpx.Timeout = TIMEOUT
    ) -> None:
        super().__init__()
        self._client = httpx.AsyncClient(transport=transport, timeout=timeout, follow_redirects=False)

    async def request_async(
        self, method: str, url: str, headers: Mapping[str, str], post_data: str | bytes | None = None
    ) -> tuple[bytes, int, Mapping[str, str]]:
        told = {name: value for name, value in headers.items() if name.lower() not in _TELLS_ON_US}
        try:
            answer = await self._client.request(method, url, headers=told, content=post_data or None)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            failed = stripe.APIConnectionError(type(error).__name__)  # type: ignore[no-untyped-call]
        else:
            return answer.content, answer.status_code, answer.headers
        raise failed  # out here, so that the request and its key do not hang on to it

    async def sleep_async(self, secs: float) -> None:
        await asyncio.sleep(secs)

    async def close_async(self) -> None:
        await self._client.aclose()
