"""Figures about a process, for Prometheus to fetch: served over HTTP, when a setting says where.

Whoever can reach the address can read them; nothing in them is secret, but model names are.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from prometheus_client import Counter, Histogram, start_http_server

if TYPE_CHECKING:
    from threading import Thread
    from wsgiref.simple_server import WSGIServer

_CALLS = Counter("studbook_calls", "Calls that were answered.", ["method", "code"])
_SECONDS = Histogram(
    "studbook_call_seconds",
    "How long calls took, streams from their beginning to their end.",
    ["method"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5, 10, 60),
)


def count_call(method: str, code: str, seconds: float) -> None:
    """Count a call that ended.

    Args:
        method: Full path of a method of the contract; of what is none, a fixed word.
        code: gRPC status.
        seconds: How long it took.
    """
    calls, durations = _series(method, code)
    calls.inc()
    durations.observe(seconds)


@lru_cache(maxsize=4096)
def _series(method: str, code: str) -> tuple[Counter, Histogram]:
    return _CALLS.labels(method, code), _SECONDS.labels(method)


class MetricsEndpoint:
    """The figures of this process at an address, from a thread of its own.

    Args:
        address: `host:port`.

    Raises:
        SystemExit: The address cannot be bound.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._server: WSGIServer
        self._thread: Thread
        try:
            self._server, self._thread = start_http_server(int(port), host.strip("[]"))
        except OSError as error:
            message = f"Cannot serve metrics on {address}: {error}"
            raise SystemExit(message) from None
        self.port: int = self._server.server_port

    def close(self) -> None:
        """Serve no longer."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
