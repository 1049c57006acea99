"""A port with TLS: what it speaks, and that its certificate is replaced without a restart."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import REGISTRY

from service_chassis.server import Server
from service_chassis.service_settings import TlsServerSettings
from tests.unit.certificate_authority import Authority, copy_pair

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from service_chassis.certificates import CertificatePair

AUTHORITY = Authority()


def with_server(
    pair: CertificatePair, test: Callable[[Server], Awaitable[None]], **settings: object
) -> None:
    async def run() -> None:
        chosen = TlsServerSettings.model_validate(
            {
                "tls_certificate": pair.certificate,
                "tls_private_key": pair.private_key,
                "drain_seconds": 0,
                **settings,
            }
        )
        server = Server(chosen, [], [])
        await server.start()
        try:
            async with asyncio.timeout(20):
                await test(server)
        finally:
            await server.stop()

    asyncio.run(run())


def _greet(
    port: int, protocols: list[str], latest: ssl.TLSVersion
) -> tuple[str | None, str, bytes]:
    context = ssl.create_default_context(cadata=AUTHORITY.pem().decode())
    if protocols:
        context.set_alpn_protocols(protocols)
    # Whoever is willing to speak an old version offers old ciphers, too.
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    context.maximum_version = latest
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secured,
    ):
        certificate: Any = secured.getpeercert()
        name = str(certificate["subject"][0][0][1])
        return secured.version(), name, secured.recv(9)


async def greet(
    server: Server,
    protocols: tuple[str, ...] = ("h2",),
    latest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
) -> tuple[str | None, str, bytes]:
    """TLS version, name in the certificate and first bytes of a new connection."""
    return await asyncio.to_thread(_greet, server.port, list(protocols), latest)


def test_only_http2_by_alpn_is_spoken(tmp_path: Path) -> None:
    async def test(server: Server) -> None:
        accepted: list[tuple[str, ...]] = [("h2",), ("http/1.1", "h2")]
        for protocols in accepted:
            _, _, answer = await greet(server, protocols)
            # The frame of settings with which a server of HTTP/2 begins.
            assert answer[3] == 4
        refused: list[tuple[str, ...]] = [(), ("http/1.1",), ("h3",)]
        for protocols in refused:
            assert (await greet(server, protocols))[2] == b""

    with_server(AUTHORITY.issue(tmp_path, "gateway"), test)


# That is why they are deprecated.
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_of_tls_are_refused(tmp_path: Path) -> None:
    async def test(server: Server) -> None:
        assert (await greet(server))[0] == "TLSv1.3"
        assert (await greet(server, latest=ssl.TLSVersion.TLSv1_2))[0] == "TLSv1.2"
        for latest in (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1):
            with pytest.raises(OSError):  # noqa: PT011 - EOF, reset or alert, as it comes
                await greet(server, latest=latest)

    with_server(AUTHORITY.issue(tmp_path, "gateway"), test)


def reloads(outcome: str) -> float:
    labels = {"file": "tls_certificate", "outcome": outcome}
    return REGISTRY.get_sample_value("studbook_file_reloads_total", labels) or 0.0


def test_new_certificate_is_used_and_a_faulty_one_is_not(tmp_path: Path) -> None:
    files = AUTHORITY.issue(tmp_path, "first")
    second = AUTHORITY.issue(tmp_path, "second", days=5)
    third = AUTHORITY.issue(tmp_path, "third")

    async def test(server: Server) -> None:
        (followed,) = server._followed
        assert (await greet(server))[1] == "first"
        before = reloads("used"), reloads("refused")
        # Half of a replacement is waited out; a fault that stays is told, once.
        files.certificate.write_bytes(second.certificate.read_bytes())
        await followed.look()
        assert reloads("refused") == before[1]
        for _ in range(3):
            await followed.look()
        assert reloads("refused") == before[1] + 1
        assert (await greet(server))[1] == "first"
        copy_pair(second, files)
        await followed.look()
        assert (await greet(server))[1] == "second"
        assert reloads("used") == before[0] + 1
        days = REGISTRY.get_sample_value(
            "studbook_certificate_days_left", {"certificate": "tls_certificate"}
        )
        assert days == pytest.approx(5, abs=0.01)
        files.private_key.unlink()
        await followed.look()
        assert (await greet(server))[1] == "second"
        copy_pair(third, files)
        await followed.look()
        assert (await greet(server))[1] == "third"

    with_server(files, test)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("other key", "is not the key of"),
        ("expired", "expired on"),
        ("garbage", "cannot be used"),
    ],
)
def test_useless_files_are_refused_at_the_start(tmp_path: Path, fault: str, words: str) -> None:
    pair = AUTHORITY.issue(tmp_path, "gateway", days=-1 if fault == "expired" else 1)
    if fault == "other key":
        other = AUTHORITY.issue(tmp_path, "other")
        pair.private_key.write_bytes(other.private_key.read_bytes())
    if fault == "garbage":
        pair.certificate.write_bytes(b"-----BEGIN CERTIFICATE-----\n")
    settings = TlsServerSettings.model_validate(
        {"tls_certificate": pair.certificate, "tls_private_key": pair.private_key}
    )

    async def make() -> None:
        Server(settings, [], [])

    with pytest.raises(SystemExit, match=words):
        asyncio.run(make())
