"""What a gateway puts up with from connections, and what a client sees that goes beyond.

Each limit is set so low that the test need not wait.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service_chassis import connection_settings
from tests.security.wire import NOTHING, Wire
from tests.unit.certificate_authority import Authority
from tests.unit.gateway.running_gateway import Seen
from tests.unit.gateway.whole_gateway import access_file, started

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

CHECK, WATCH = "/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"
# The beginning of a connection: what every client says first, and settings, all of them as usual.
BEGINNING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
NO_SETTINGS = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])


@pytest.fixture
def folder(http_issuer: LoopbackIssuer, tmp_path: Path) -> Path:
    (tmp_path / "access.yaml").write_text(access_file(http_issuer))
    return tmp_path


def against(folder: Path, attack: Callable[[str], None], **settings: Any) -> None:
    """Start a gateway with these settings, and do something to its address."""

    async def run() -> None:
        async with asyncio.timeout(60), started(folder, Seen(), **settings) as address:
            await asyncio.to_thread(attack, address)

    asyncio.run(run())


def connected(address: str) -> socket.socket:
    host, port = address.split(":")
    return socket.create_connection((host, int(port)), 20)


def seconds_until_closed(connection: socket.socket) -> float:
    """How long the other side keeps a connection open on which nothing more is said."""
    start = time.monotonic()
    with contextlib.suppress(ConnectionResetError):
        while connection.recv(65536):
            pass
    return time.monotonic() - start


def check(wire: Wire) -> str:
    return wire.ask(wire.headers(path=CHECK), NOTHING).status


def test_so_many_connections_and_no_more(folder: Path) -> None:
    def attack(address: str) -> None:
        with Wire(address) as first, connected(address):
            assert check(first) == "OK"
            # One that says nothing has its place, too.
            with connected(address) as third:
                assert seconds_until_closed(third) < 5
            with grpc.insecure_channel(address, [("grpc.enable_retries", 0)]) as channel:
                with pytest.raises(grpc.RpcError) as refused:
                    health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
                error: Any = refused.value
                assert error.code() is grpc.StatusCode.UNAVAILABLE
            assert check(first) == "OK"
        with grpc.insecure_channel(address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            stub.Check(health_pb2.HealthCheckRequest(), wait_for_ready=True, timeout=20)

    against(folder, attack, connections=2)


@pytest.mark.parametrize("said", [b"", BEGINNING[:10], BEGINNING], ids=["", "half", "no settings"])
def test_connection_that_does_not_begin_is_closed(folder: Path, said: bytes) -> None:
    def attack(address: str) -> None:
        with connected(address) as connection, Wire(address) as other:
            connection.sendall(said)
            assert 0.3 < seconds_until_closed(connection) < 10
            assert check(other) == "OK"

    against(folder, attack, handshake_seconds=0.5)


def test_tls_that_does_not_begin_is_closed(folder: Path) -> None:
    pair = Authority().issue(folder, "gateway")

    def attack(address: str) -> None:
        with connected(address) as connection:
            connection.sendall(b"\x16\x03\x01")
            assert 0.3 < seconds_until_closed(connection) < 10

    against(
        folder,
        attack,
        handshake_seconds=0.5,
        tls_certificate=pair.certificate,
        tls_private_key=pair.private_key,
    )


def test_connection_without_calls_is_closed_and_one_with_a_call_is_not(folder: Path) -> None:
    def attack(address: str) -> None:
        with Wire(address) as idle, Wire(address) as busy:
            watch = busy.begin(busy.headers(path=WATCH), NOTHING)
            assert check(idle) == "OK"
            assert idle.wait_closed() == "connection idle"
            assert not busy.reply(watch, 0.2).ended
            assert check(busy) == "OK"

    against(folder, attack, idle_connection_seconds=1)


def test_calls_move_to_a_new_connection_and_none_fails(folder: Path) -> None:
    def attack(address: str) -> None:
        with grpc.insecure_channel(address, [("grpc.enable_retries", 0)]) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watch: Any = stub.Watch(health_pb2.HealthCheckRequest(), timeout=30)
            next(watch)
            start = time.monotonic()
            while watch.is_active():
                stub.Check(health_pb2.HealthCheckRequest(), timeout=20)
            # What does not end by itself ends when the grace is over.
            assert watch.code() is grpc.StatusCode.UNAVAILABLE
            assert time.monotonic() - start > 1

    against(folder, attack, connection_seconds=1, connection_grace_seconds=0.5)


def ping(wire: Wire, pause_s: float) -> None:
    """Ping ten times, or until it is too much for the other side."""
    for _ in range(10):
        if wire.closed:
            return
        wire.h2.ping(b"question")
        wire.flush()
        wire.listen(pause_s)


def test_client_that_pings_too_often_loses_its_connection(folder: Path) -> None:
    def attack(address: str) -> None:
        with Wire(address) as hasty, Wire(address) as patient:
            ping(hasty, 0.01)
            assert hasty.wait_closed() == "too_many_pings"
            ping(patient, 0.25)
            assert check(patient) == "OK"

    against(folder, attack, ping_seconds=0.2)


def test_client_that_gives_no_sign_of_life_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_settings, "_SIGN_OF_LIFE_S", 0.5)

    def attack(address: str) -> None:
        with connected(address) as dead, Wire(address) as quiet:
            dead.sendall(BEGINNING + NO_SETTINGS)
            watch = quiet.begin(quiet.headers(path=WATCH), NOTHING)
            # Whoever answers when it is asked may say nothing else.
            assert not quiet.reply(watch, 3).ended
            assert seconds_until_closed(dead) < 0.5

    against(folder, attack, dead_connection_seconds=1)


def test_so_many_watches_of_health_and_no_more(folder: Path) -> None:
    def attack(address: str) -> None:
        with Wire(address) as wire:
            watches = [wire.begin(wire.headers(path=WATCH), NOTHING) for _ in range(3)]
            refused = wire.reply(watches[2])
            assert refused.status == "RESOURCE_EXHAUSTED"
            assert refused.message == "2 watch already; ask with Check."

    against(folder, attack, health_watches=2)


@pytest.mark.parametrize("path", [CHECK, "/studbook.identity.v1.IdentityService/GetServerInfo"])
def test_message_of_a_call_that_anybody_may_make_is_not_waited_for(folder: Path, path: str) -> None:
    def attack(address: str) -> None:
        with Wire(address) as wire:
            reply = wire.reply(wire.begin(wire.headers(path=path), b"", end=False))
            assert reply.outcome == ("DEADLINE_EXCEEDED", "MESSAGE_LATE")
            assert "0.3" in reply.message

    against(folder, attack, public_message_seconds=0.3)


@pytest.mark.parametrize("service", ["Run", "Model"], ids=["mounted", "behind"])
def test_message_of_a_call_with_a_token_is_not_waited_for_long(
    http_issuer: LoopbackIssuer, folder: Path, service: str
) -> None:
    area = {"Run": "tracking", "Model": "registry"}[service]
    path = f"/studbook.{area}.v1.{service}Service/Get{service}"

    def attack(address: str) -> None:
        entry = ("authorization", f"Bearer {http_issuer.token()}")
        with Wire(address) as wire:
            reply = wire.reply(wire.begin(wire.headers(entry, path=path), b"", end=False))
            assert reply.outcome == ("DEADLINE_EXCEEDED", "MESSAGE_LATE")
            assert "0.3" in reply.message

    against(folder, attack, message_seconds=0.3)
