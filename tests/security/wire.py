"""HTTP/2 by hand: sends what no gRPC library would send, and reads what comes back."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import unquote

import h2.connection
import h2.events
from h2.config import H2Configuration
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes

from studbook.registry.v1.model_service_pb2 import ListModelsRequest
from tests.patience import PATIENCE_S
from tests.security.castle import reason_in

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

LIST_MODELS = "/studbook.registry.v1.ModelService/ListModels"
Header = tuple[str | bytes, str | bytes]


def message(data: bytes, *, compressed: int = 0, length: int | None = None) -> bytes:
    """A gRPC message with its prefix, which may lie."""
    size = len(data) if length is None else length
    return bytes([compressed]) + size.to_bytes(4) + data


NOTHING = message(b"")
ASKS_FOR_MODELS = message(ListModelsRequest(parent="workspaces/main").SerializeToString())


@dataclass
class Reply:
    """What came back on a stream.

    Attributes:
        headers: Initial and trailing ones together.
        data: Messages, with their prefixes.
        ended: `trailers`, `reset` or `closed`.
        code: Error code of a reset or of the connection's end.
    """

    headers: dict[str, str] = field(default_factory=dict)
    data: bytes = b""
    ended: str = ""
    code: int = 0

    @property
    def status(self) -> str:
        """The gRPC status by name; how it ended when there is none."""
        if "grpc-status" in self.headers:
            return _STATUS.get(self.headers["grpc-status"], self.headers["grpc-status"])
        http = self.headers.get(":status", "")
        return f"HTTP {http}" if http not in {"", "200"} else self.ended

    @property
    def reason(self) -> str:
        """The reason in the details; empty when there are none."""
        details = self.headers.get("grpc-status-details-bin", "")
        return reason_in(_decoded(details))

    @property
    def message(self) -> str:
        """What the refusal says."""
        return unquote(self.headers.get("grpc-message", ""))

    @property
    def outcome(self) -> tuple[str, str]:
        """Status and reason."""
        return self.status, self.reason


_STATUS = {
    "0": "OK", "1": "CANCELLED", "2": "UNKNOWN", "3": "INVALID_ARGUMENT",
    "4": "DEADLINE_EXCEEDED", "5": "NOT_FOUND", "7": "PERMISSION_DENIED",
    "8": "RESOURCE_EXHAUSTED", "9": "FAILED_PRECONDITION", "12": "UNIMPLEMENTED",
    "13": "INTERNAL", "14": "UNAVAILABLE", "16": "UNAUTHENTICATED",
}  # fmt: skip


def _decoded(text: str) -> bytes:
    import base64  # noqa: PLC0415 - here alone

    return base64.b64decode(text + "=" * (-len(text) % 4))


class Wire:
    """One connection. Use as a context manager.

    Args:
        address: `host:port`.
        takes_nothing: Whether no message is let in.
    """

    def __init__(self, address: str, *, takes_nothing: bool = False) -> None:
        host, _, port = address.rpartition(":")
        self._address = host.strip("[]"), int(port)
        self._takes_nothing = takes_nothing
        self._authority = address
        config = H2Configuration(
            validate_outbound_headers=False,
            normalize_outbound_headers=False,
            validate_inbound_headers=False,
            header_encoding=None,
        )
        self.h2 = h2.connection.H2Connection(config)
        self._replies: dict[int, Reply] = {}
        self.closed = False
        self.goodbye = ""

    def __enter__(self) -> Self:
        self.socket = socket.create_connection(self._address, PATIENCE_S)
        self.h2.initiate_connection()
        if self._takes_nothing:
            self.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        self.flush()
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def flush(self) -> None:
        """Send what was said so far."""
        self.send(self.h2.data_to_send())

    def send(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self.socket.sendall(data)
        except OSError:
            self.closed = True

    def headers(self, *more: Header, path: str = LIST_MODELS, **special: str) -> list[Header]:
        """The headers of a call, with further or other ones."""
        first: list[Header] = [
            (":method", special.get("method", "POST")),
            (":scheme", "http"),
            (":path", path),
            (":authority", special.get("authority", self._authority)),
            ("content-type", special.get("content_type", "application/grpc")),
            ("te", "trailers"),
        ]
        return [*first, *more]

    def begin(self, headers: Iterable[Header], body: bytes = b"", *, end: bool = True) -> int:
        """Begin a stream; returns its number."""
        number = self.h2.get_next_available_stream_id()
        self._replies[number] = Reply()
        encoded = [
            tuple(part.encode() if isinstance(part, str) else part for part in header)
            for header in headers
        ]
        self.h2.send_headers(number, encoded, end_stream=end and not body)  # type: ignore[arg-type] # bytes are taken too
        if body:
            self._send_body(number, body, end=end)
        self.flush()
        return number

    def _send_body(self, number: int, body: bytes, *, end: bool) -> None:
        start, deadline = 0, time.monotonic() + PATIENCE_S
        while start < len(body) and not self.closed and time.monotonic() < deadline:
            room = min(
                self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size, 65536
            )
            if room == 0:
                self.flush()
                self._receive()
                if self._replies[number].ended:
                    return
                continue
            self.h2.send_data(number, body[start : start + room])
            start += room
        if end and not self._replies[number].ended:
            self.h2.end_stream(number)

    def reply(self, number: int, patience_s: float = PATIENCE_S) -> Reply:
        """Wait until a stream has ended."""
        deadline = time.monotonic() + patience_s
        reply = self._replies[number]
        while not reply.ended and time.monotonic() < deadline:
            self.socket.settimeout(max(deadline - time.monotonic(), 0.01))
            self._receive()
        return reply

    def ask(self, headers: Iterable[Header], body: bytes = ASKS_FOR_MODELS) -> Reply:
        """Make a call and wait for its end."""
        try:
            return self.reply(self.begin(headers, body))
        except ProtocolError:
            return Reply(ended="closed")

    def listen(self, for_s: float) -> None:
        """Take what comes for a while."""
        deadline = time.monotonic() + for_s
        while not self.closed and (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            self._receive()

    def wait_closed(self, patience_s: float = PATIENCE_S) -> str:
        """Wait until the other side has ended the connection; what it said to that."""
        self.listen(patience_s)
        assert self.closed
        return self.goodbye

    def list_models(self, *more: Header, path: str = LIST_MODELS) -> tuple[str, str]:
        """Status and reason of a call that needs a token and a permission."""
        return self.ask(self.headers(*more, path=path)).outcome

    def _receive(self) -> None:
        try:
            data = self.socket.recv(65536)
        except TimeoutError:
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        for event in self.h2.receive_data(data):
            self._take(event)
        self.flush()

    def _close(self, code: int = 0) -> None:
        self.closed = True
        for reply in self._replies.values():
            if not reply.ended:
                reply.ended, reply.code = "closed", code

    def _take(self, event: object) -> None:
        match event:
            case h2.events.ResponseReceived() | h2.events.TrailersReceived():
                found = {_text(name): _text(value) for name, value in event.headers}
                self._replies[event.stream_id].headers.update(found)
            case h2.events.DataReceived():
                self._replies[event.stream_id].data += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            case h2.events.StreamEnded():
                self._replies[event.stream_id].ended = "trailers"
            case h2.events.StreamReset():
                reply = self._replies.setdefault(event.stream_id, Reply())
                if not reply.ended:
                    reply.ended, reply.code = "reset", int(event.error_code)
            case h2.events.ConnectionTerminated():
                self.goodbye = (event.additional_data or b"").decode()
                self._close(int(event.error_code or 0))


def _text(part: str | bytes) -> str:
    return part if isinstance(part, str) else part.decode("latin-1")
