"""The end of a login in the browser: the provider sends the browser back to this process."""

from __future__ import annotations

import hmac
import socket
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Self
from urllib.parse import parse_qs, urlsplit

from studbook.address import Address
from studbook.exceptions import StudbookError

if TYPE_CHECKING:
    from types import TracebackType

_ASK = "Ask whoever runs the server to correct access.yaml."
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
        if parts.path != self.server.path or not genuine:
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
    path = ""
    state = ""
    answer: str | None = None

    def handle_error(self, *_arguments: object) -> None:
        # A browser that hangs up is no news.
        pass


class _Server6(_Server):
    address_family = socket.AF_INET6


def _listening(host: str, port: int) -> _Server:
    return (_Server6 if ":" in host else _Server)((host, port), _Handler)


class RedirectListener:
    """Listens on loopback for the redirect that ends a login.

    Args:
        uri: Where the provider may send the browser. Without a port any free one is used, as
            RFC 8252 has it; providers that compare whole addresses need one that has a port.

    Raises:
        StudbookError: It is not on loopback, or its port is in use.
    """

    def __init__(self, uri: str) -> None:
        parts = urlsplit(uri)
        host, port = parts.hostname or "", parts.port or 0
        if parts.scheme != "http" or not Address(host, 0).is_loopback:
            message = f"The browser cannot be sent back to {uri}, which is not on this machine."
            raise StudbookError(message, next_step=_ASK)
        try:
            self._server = _listening("127.0.0.1" if host == "localhost" else host, port)
        except OSError as error:
            message = f"The login ends at {uri}, where nothing can listen: {error.strerror}."
            raise StudbookError(message, next_step=f"Free port {port} and try again.") from None
        self._server.path = parts.path or "/"
        written = f"[{host}]" if ":" in host else host
        self._uri = f"http://{written}:{self._server.server_port}{parts.path}"

    @property
    def redirect_uri(self) -> str:
        """Where the provider is to send the browser."""
        return self._uri

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
