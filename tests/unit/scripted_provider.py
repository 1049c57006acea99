"""A login provider over real HTTP that answers what a test tells it to."""

from __future__ import annotations

import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from collections.abc import Iterator


class ScriptedProvider(ThreadingHTTPServer):
    """Says of itself what `document` holds, and answers each path with its next answer.

    The last answer of a path is given for ever. What was asked is kept.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.issuer = f"http://127.0.0.1:{self.server_port}"
        self.document: dict[str, Any] = {
            "issuer": self.issuer,
            "token_endpoint": f"{self.issuer}/token",
        }
        self.answers: dict[str, list[tuple[int, object]]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []
        self.authorizations: list[str] = []

    def offer(self, name: str, path: str, *answers: tuple[int, object]) -> None:
        """Have an endpoint, by its name in the discovery document."""
        self.document[name] = f"{self.issuer}{path}"
        self.answers[path] = list(answers)

    def next_answer(self, path: str) -> tuple[int, object]:
        if path == "/.well-known/openid-configuration":
            return 200, self.document
        left = self.answers.get(path, [(404, {})])
        return left.pop(0) if len(left) > 1 else left[0]


class _Handler(BaseHTTPRequestHandler):
    server: ScriptedProvider

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.authorizations.append(self.headers.get("Authorization", ""))
        self.server.asked.append((self.path, dict(parse_qsl(body))))
        self._answer()

    def _answer(self) -> None:
        status, content = self.server.next_answer(self.path)
        body = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        pass


@contextmanager
def scripted_provider() -> Iterator[ScriptedProvider]:
    """Serve one."""
    with ScriptedProvider() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()
