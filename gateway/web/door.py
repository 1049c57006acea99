"""What every request passes, and every answer gets: host, sizes, headers, one line in the log."""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

from service_chassis.metrics_endpoint import count_call

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_log = structlog.get_logger("studbook.web")

LARGEST_BODY = 16 * 1024
# Until all of it is there.
LONGEST_BODY_S = 10.0
# What is read of a body that nobody wants, so that the answer is: a connection that is closed
# with something unread is reset, and the answer with it.
_MOST_DISCARDED = 1024 * 1024
_LONGEST_DISCARD_S = 2.0
_LARGEST_HEAD = 16 * 1024
_LARGEST_COOKIES = 8 * 1024
# Where the scope keeps what the request's line in the log says besides.
RECORD = "studbook.record"

# No script at all, no inline style, nothing from elsewhere, in no frame, forms to ourselves.
_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_HEADERS = {
    "content-security-policy": _POLICY,
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    # Not no-referrer, which would make browsers send `Origin: null` with our own forms.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_HSTS = "max-age=31536000"


class BodyRefusedError(Exception):
    """The request's body is larger than any form of ours, or does not come."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status.phrase)
        self.status = status


class Door:
    """Stands before all pages.

    Args:
        app: What is behind it.
        origin: Scheme and host as browsers have them.
    """

    def __init__(self, app: ASGIApp, origin: str) -> None:
        self._app = app
        self._host = origin.partition("://")[2]
        self._secure = origin.startswith("https://")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        started = time.perf_counter()
        record: dict[str, str] = {}
        scope[RECORD] = record
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        body = _Body(scope, receive)

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = HTTPStatus(message["status"])
                self._add_headers(MutableHeaders(scope=message))
            elif not message.get("more_body") and not body.complete:
                await send({**message, "more_body": True})
                await body.discard()
                message = {"type": "http.response.body"}
            await send(message)

        try:
            refusal = self._refusal(scope)
            await (refusal or self._app)(scope, body.receive, answer)
        finally:
            _note(scope, status, time.perf_counter() - started, record)

    def _add_headers(self, headers: MutableHeaders) -> None:
        for name, value in _HEADERS.items():
            headers.setdefault(name, value)
        # What a page shows is for one person, and gone after signing out.
        headers.setdefault("cache-control", "no-store")
        if self._secure:
            headers["strict-transport-security"] = _HSTS

    def _refusal(self, scope: Scope) -> ASGIApp | None:
        headers = Headers(scope=scope)
        # A page elsewhere whose name leads here must not be able to read or send anything.
        if headers.getlist("host") != [self._host]:
            return _refused(HTTPStatus.MISDIRECTED_REQUEST, "This server has another name.")
        head = len(scope["path"]) + len(scope["query_string"])
        head += sum(len(name) + len(value) for name, value in headers.raw)
        cookies = sum(map(len, headers.getlist("cookie")))
        if head > _LARGEST_HEAD or cookies > _LARGEST_COOKIES:
            return _refused(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "Too much to read.")
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > LARGEST_BODY:
            return _refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "Too large a body.")
        return None


def _refused(status: HTTPStatus, words: str) -> ASGIApp:
    return PlainTextResponse(f"{words}\n", status, headers={"connection": "close"})


class _Body:
    """A request's body, until there is too much of it, or it takes too long."""

    def __init__(self, scope: Scope, receive: Receive) -> None:
        headers = Headers(scope=scope)
        self.complete = "transfer-encoding" not in headers and "content-length" not in headers
        self._receive = receive
        self._received = 0
        self._deadline = asyncio.get_running_loop().time() + LONGEST_BODY_S

    async def receive(self) -> Message:
        """The next part.

        Raises:
            BodyRefusedError: If it is too much, or too late.
        """
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._next()
        except TimeoutError:
            raise BodyRefusedError(HTTPStatus.REQUEST_TIMEOUT) from None
        if self._received > LARGEST_BODY:
            raise BodyRefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
        return message

    async def discard(self) -> None:
        """Read what is still to come, within bounds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LONGEST_DISCARD_S):
                while not self.complete and self._received < _MOST_DISCARDED:
                    await self._next()

    async def _next(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        self.complete = not message.get("more_body", False)
        return message


def _note(scope: Scope, status: HTTPStatus, seconds: float, record: dict[str, str]) -> None:
    # Paths without end can be made up; those of a route are few. A query may hold a code.
    route: Any = scope.get("route")
    path = getattr(route, "path", "") or "unknown"
    count_call(f"web:{path}", status.name, seconds)
    _log.info(
        "request",
        method=scope["method"][:16],
        path=path,
        status=int(status),
        ms=round(seconds * 1000, 2),
        request_id=uuid.uuid4().hex,
        **record,
    )
