"""Connections on which nothing comes, or not all of it, are not kept."""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from starlette.responses import PlainTextResponse

from gateway import http_server
from gateway.web import door

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
    chain, key = self_signed(tmp_path)

    async def run() -> None:
        app = door.Door(reads, "https://here")
        server = http_server.HttpServer(app, "The server", "127.0.0.1", 0, (chain, key))
        await server.start()
        trusted = ssl.create_default_context(cafile=str(chain))
        async with httpx.AsyncClient(verify=trusted, trust_env=False) as http:
            answer = await http.get(f"https://127.0.0.1:{server.port}/", headers={"host": "here"})
        assert answer.status_code == 200
        assert answer.headers["strict-transport-security"] == "max-age=31536000"
        await server.stop()

    asyncio.run(run())


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .sign(key, hashes.SHA256())
    )
    (folder / "chain.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "key.pem").write_bytes(private)
    return folder / "chain.pem", folder / "key.pem"


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
