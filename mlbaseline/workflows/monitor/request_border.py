"""What every request to `mlbaseline watch` passes: a token, a largest size, and a longest time."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import ASGIApp, Receive, Scope, Send

LARGEST_BODY = 64 * 1024
"""Bytes of a request's body. Webhooks send a few hundred."""
SLOWEST_S = 5.0
"""Seconds that a request may take, its body included."""


class RequestBorder:
    """Middleware: the token, the size of a body, and the time that a request may take."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        import asyncio

        from starlette.requests import Request
        from starlette.responses import PlainTextResponse

        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if request.url.path != "/healthz" and not self._is_allowed(request.headers.get("authorization", "")):
            await PlainTextResponse("a token is needed\n", 401)(scope, receive, send)
            return
        try:
            fits = await asyncio.wait_for(_fits(request), SLOWEST_S)
        except asyncio.TimeoutError:
            await PlainTextResponse("the request took too long\n", 408)(scope, receive, send)
            return
        if not fits:
            await PlainTextResponse("the body is too large\n", 413)(scope, receive, send)
            return
        await self._app(scope, _nothing_more, send)

    def _is_allowed(self, header: str) -> bool:
        return not self._token or hmac.compare_digest(header.encode(), f"Bearer {self._token}".encode())


async def _fits(request: Request) -> bool:
    """Read a body to its end, or to the largest size that is allowed. Nothing in it is used."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > LARGEST_BODY:
            return False
    return True


async def _nothing_more() -> dict[str, object]:
    return {"type": "http.request", "body": b"", "more_body": False}
