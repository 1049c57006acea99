"""A body that is refused is read on, or the reset of the connection would take the answer along."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from starlette.responses import PlainTextResponse

from gateway.web.door import LARGEST_BODY, Door

if TYPE_CHECKING:
    from starlette.types import Message

PART = 8 * 1024
ENOUGH = 1024 * 1024


class Exchange:
    """A request of a body in parts, and what happened in which order."""

    def __init__(self, length: int, *, said: bool) -> None:
        self.events: list[str] = []
        self._left = length
        header = (b"content-length", b"%d" % length) if said else (b"transfer-encoding", b"chunked")
        self._headers = [(b"host", b"books.test"), header]

    def events_at_the_door(self) -> list[str]:
        """Events of the request at a door before a page that reads nothing."""
        asyncio.run(self._pass())
        return self.events

    async def _pass(self) -> None:
        door = Door(PlainTextResponse("Welcome.\n"), "https://books.test")
        scope: dict[str, Any] = {
            "type": "http", "method": "POST", "path": "/", "query_string": b"",
            "headers": self._headers,
        }  # fmt: skip
        await door(scope, self._receive, self._send)

    async def _receive(self) -> Message:
        self.events.append("read")
        self._left -= PART
        return {"type": "http.request", "body": b"x" * PART, "more_body": self._left > 0}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.events.append(str(message["status"]))
        else:
            self.events.append("part" if message.get("more_body") else "end")


@pytest.mark.parametrize(
    ("length", "said", "status"),
    [
        (LARGEST_BODY + PART, True, "413"),
        # Whoever reads nothing does not learn how long it is.
        (LARGEST_BODY + PART, False, "200"),
        (LARGEST_BODY - PART, True, "200"),
    ],
)
def test_the_answer_goes_out_and_ends_once_the_body_is_there(
    length: int, said: bool, status: str
) -> None:
    events = Exchange(length, said=said).events_at_the_door()
    assert events == [status, "part", *["read"] * (length // PART), "end"]


def test_a_body_without_end_is_not_read_to_it() -> None:
    events = Exchange(10**12, said=True).events_at_the_door()
    assert events == ["413", "part", *["read"] * (ENOUGH // PART), "end"]
