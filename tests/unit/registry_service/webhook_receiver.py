"""An HTTP server that takes what webhooks are sent, and checks it as the standard says."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


@dataclass(frozen=True)
class Received:
    """One request."""

    headers: Mapping[str, str]
    body: bytes

    @property
    def identity(self) -> str:
        return self.headers["webhook-id"]

    @property
    def content(self) -> Any:
        return json.loads(self.body)

    def signed_with(self, secret: str) -> bool:
        """Whether one of the signatures was made with a secret."""
        key = base64.b64decode(secret.removeprefix("whsec_"))
        stamp = self.headers["webhook-timestamp"]
        content = f"{self.identity}.{stamp}.".encode() + self.body
        expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()
        return f"v1,{expected}" in self.headers["webhook-signature"].split(" ")


@dataclass
class Receiver:
    """A server on loopback; answers what `answer` says.

    Attributes:
        answer: Given how many requests came before this one and the request, says the status.
        received: All requests, in order.
    """

    answer: Callable[[int, Received], int] = lambda _count, _request: 204
    received: list[Received] = field(default_factory=list)
    _server: ThreadingHTTPServer | None = None
    _arrival: threading.Condition = field(default_factory=threading.Condition)

    def __enter__(self) -> Self:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {key.lower(): value for key, value in self.headers.items()}
                request = Received(headers, body)
                status = receiver.answer(len(receiver.received), request)
                with receiver._arrival:
                    receiver.received.append(request)
                    receiver._arrival.notify_all()
                self.send_response(status)
                if 300 <= status <= 399:
                    self.send_header("location", receiver.url + "/elsewhere")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    async def receives(self, count: int) -> None:
        """Wait until so many requests have come, and make sure that no more have."""
        await asyncio.to_thread(self._wait, count)
        assert len(self.received) == count

    def _wait(self, count: int) -> None:
        with self._arrival:
            assert self._arrival.wait_for(lambda: len(self.received) >= count, 120)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}"

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
