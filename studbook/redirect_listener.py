"""The end of a login in the browser: the provider sends the browser back to this process."""

from __future__ import annotations

import hmac
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, urlsplit

if TYPE_CHECKING:
    from types import TracebackType

_PATH = "/callback"
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Studbook</title>
<body style="font: 16px system-ui; max-width: 26rem; margin: 4rem auto">
<h1 style="font-size: 1.4rem">{heading}</h1><p>{text}</p></body></html>"""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    # A connection that says nothing must not keep the browser's from being heard.
    timeout = 5

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        state = parse_qs(parts.query).get("state", [""])[0]
        # Anything on this machine can call here; only the provider's answer knows the state.
        genuine = hmac.compare_digest(state.encode(), self.server.state.encode())
        if parts.path != _PATH or not genuine:
            self._answer(404, "Nothing here", "This address only serves one login.")
            return
        self.server.answer = self.path
        self._answer(200, "Back to your terminal", "You can close this window.")

    def _answer(self, status: int, heading: str, text: str) -> None:
        body = _PAGE.format(heading=heading, text=text).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        # The request line holds the code.
        pass


class _Server(HTTPServer):
    state = ""
    answer: str | None = None

    def handle_error(self, *_arguments: object) -> None:
        # A browser that hangs up is no news.
        pass


class RedirectListener:
    """Listens on a free loopback port for the redirect that ends a login."""

    def __init__(self) -> None:
        self._server = _Server(("127.0.0.1", 0), _Handler)

    @property
    def redirect_uri(self) -> str:
        """Where the provider is to send the browser."""
        return f"http://127.0.0.1:{self._server.server_port}{_PATH}"

    def wait(self, state: str, patience_s: float) -> str | None:
        """The path and query the browser came back with; None when it did not in time."""
        self._server.state = state
        deadline = time.monotonic() + patience_s
        while self._server.answer is None and (left := deadline - time.monotonic()) > 0:
            self._server.timeout = left
            self._server.handle_request()
        return self._server.answer

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.server_close()
