"""Connections on which nothing comes, or not all of it, are not kept."""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.responses import PlainTextResponse

from gateway import http_server
from gateway.web import door
from tests.unit.certificate_authority import Authority, copy_pair

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from starlette.types import ASGIApp, Receive, Scope, Send

_HEAD = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\n"


async def reads(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the body."""
    body, more = b"", True
    try:
        while more:
            message = await receive()
            body, more = body + message["body"], message["more_body"]
    except door.BodyRefusedError as error:
        await PlainTextResponse("", error.status)(scope, receive, send)
        return
    await PlainTextResponse(body)(scope, receive, send)


def talking(
    app: ASGIApp, talk: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
) -> None:
    """Serve an application and talk to it over one connection."""

    async def run() -> None:
        server = http_server.HttpServer(app, "The server", "127.0.0.1", 0)
        await server.start()
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        async with asyncio.timeout(20):
            await talk(reader, writer)
        writer.close()
        await server.stop()

    asyncio.run(run())


def test_with_a_certificate_it_speaks_tls(tmp_path: Path) -> None:
    authority = Authority()
    files, second = authority.issue(tmp_path, "first"), authority.issue(tmp_path, "second")
    trusted = ssl.create_default_context(cadata=authority.pem().decode())

    async def name_shown(port: int) -> str:
        _, writer = await asyncio.open_connection(
            "127.0.0.1", port, ssl=trusted, server_hostname="localhost"
        )
        shown: Any = writer.get_extra_info("peercert")
        writer.close()
        return str(shown["subject"][0][0][1])

    async def run() -> None:
        app = door.Door(reads, "https://here")
        server = http_server.HttpServer(app, "The server", "127.0.0.1", 0, files)
        await server.start()
        async with httpx.AsyncClient(verify=trusted, trust_env=False) as http:
            answer = await http.get(f"https://localhost:{server.port}/", headers={"host": "here"})
        assert answer.status_code == 200
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        assert await name_shown(server.port) == "first"
        files.private_key.write_bytes(second.private_key.read_bytes())
        assert server.certificate_files is not None
        await server.certificate_files.look()
        assert await name_shown(server.port) == "first"
        copy_pair(second, files)
        await server.certificate_files.look()
        assert await name_shown(server.port) == "second"
        await server.stop()

    asyncio.run(run())


@pytest.mark.parametrize("begun", [b"", b"GET / HTTP/1.1\r\nHost: he", _HEAD + b"12345GET / "])
def test_head_that_does_not_come(monkeypatch: pytest.MonkeyPatch, begun: bytes) -> None:
    monkeypatch.setattr(http_server, "LONGEST_HEAD_S", 0.1)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        answer = await reader.read()
        assert answer.count(b"HTTP/1.1") == begun.count(_HEAD)

    talking(reads, talk)


def test_body_that_does_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "LONGEST_BODY_S", 0.1)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD + b"12")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")

    talking(door.Door(reads, "http://here"), talk)


def test_those_who_are_answered_slowly_are_not_sent_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_server, "LONGEST_HEAD_S", 0.05)

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.sleep(0.3)
        await reads(scope, receive, send)

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(_HEAD + b"12345")
        assert (await reader.readline()).startswith(b"HTTP/1.1 200 ")

    talking(slow, talk)
