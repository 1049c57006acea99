"""TLS between components: who gets a connection, and that certificates are replaced in between."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from pydantic import ValidationError
from structlog.testing import capture_logs

from service_chassis import service_channel
from service_chassis.certificates import CertificatePair, ClientCertificate
from service_chassis.server import Server
from service_chassis.service_channel import ServiceChannel
from service_chassis.service_settings import ServiceClientSettings, ServiceSettings
from tests.unit.certificate_authority import Authority, copy_pair

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

AUTHORITY, OTHER = Authority(), Authority("another authority")
WHO, ECHO = "/test/Who", "/test/Echo"


class Answers(grpc.GenericRpcHandler):  # type: ignore[type-arg] # not generic at run time
    """Tells callers the name in their certificate, or what they say."""

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[bytes, bytes]:
        if handler_call_details.method == WHO:
            return grpc.unary_unary_rpc_method_handler(_who)
        return grpc.stream_stream_rpc_method_handler(_echo)


async def _who(_request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    seen: Any = context.auth_context()
    (name,) = seen.get("x509_common_name", [b"nobody"])
    return bytes(name)


async def _echo(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


class Hop:
    """Both sides of a connection, and the files that each of them reads."""

    def __init__(self, folder: Path, host: str = "localhost") -> None:
        self.server_pair = AUTHORITY.issue(folder, "service", host=host)
        self.client_pair = AUTHORITY.issue(folder, "caller")
        self.client_ca, self.services_ca = folder / "client-ca.pem", folder / "services-ca.pem"
        for path in (self.client_ca, self.services_ca):
            path.write_bytes(AUTHORITY.pem())
        self.server: Server
        self.certificate: ClientCertificate
        self.channel: ServiceChannel

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        settings = ServiceSettings.model_validate(
            {
                "database_url": "sqlite://",
                "artifact_store": "unused",
                "assertion_trusted_keys": {},
                "tls_certificate": self.server_pair.certificate,
                "tls_private_key": self.server_pair.private_key,
                "tls_client_ca": self.client_ca,
                "drain_seconds": 0,
            }
        )
        self.server = Server(settings, [], [])
        self.server.grpc.add_generic_rpc_handlers((Answers(),))
        await self.server.start()
        self.certificate = ClientCertificate(self.services_ca, self.client_pair)
        self.channel = self.connect(self.certificate)
        try:
            yield
        finally:
            await self.channel.close()
            await self.server.stop()

    def connect(self, certificate: ClientCertificate | None) -> ServiceChannel:
        return ServiceChannel(f"localhost:{self.server.port}", [], certificate)

    async def look(self) -> None:
        """Have both sides look at their files."""
        await self.server._followed[0].look()
        await self.certificate.files.look()

    async def caller(self, channel: ServiceChannel | None = None) -> str:
        """The name by which the service knows the caller."""
        call = (channel or self.channel).unary_unary(WHO)
        name: bytes = await call(b"", timeout=10)
        return name.decode()

    async def is_refused(self, certificate: ClientCertificate | None) -> bool:
        """Whether a caller with this certificate gets no connection."""
        channel = self.connect(certificate)
        try:
            await self.caller(channel)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNAVAILABLE
        finally:
            await channel.close()
        return False


def with_hop(test: Callable[[Hop], Awaitable[None]], hop: Hop) -> None:
    async def run() -> None:
        async with asyncio.timeout(60), hop.serving():
            await test(hop)

    asyncio.run(run())


def test_only_callers_with_a_certificate_of_the_right_authority_get_a_connection(
    tmp_path: Path,
) -> None:
    hop = Hop(tmp_path)
    foreign = OTHER.issue(tmp_path, "foreign")
    # A certificate that vouches for itself under the authority's name.
    namesake = Authority().issue(tmp_path, "namesake")

    async def test(hop: Hop) -> None:
        assert await hop.caller() == "caller"
        ca = hop.services_ca
        assert not await hop.is_refused(ClientCertificate(ca, hop.client_pair))
        assert await hop.is_refused(ClientCertificate(ca))
        assert await hop.is_refused(ClientCertificate(ca, foreign))
        assert await hop.is_refused(ClientCertificate(ca, namesake))
        assert await hop.is_refused(None)

    with_hop(test, hop)


def test_only_a_service_of_the_right_authority_is_called(tmp_path: Path) -> None:
    hop = Hop(tmp_path)
    believed = tmp_path / "believed.pem"
    believed.write_bytes(OTHER.pem())

    async def test(hop: Hop) -> None:
        assert await hop.is_refused(ClientCertificate(believed, hop.client_pair))
        believed.write_bytes(OTHER.pem() + AUTHORITY.pem())
        assert not await hop.is_refused(ClientCertificate(believed, hop.client_pair))

    with_hop(test, hop)


def test_only_a_service_with_the_name_of_its_address_is_called(tmp_path: Path) -> None:
    async def test(hop: Hop) -> None:
        assert await hop.is_refused(ClientCertificate(hop.services_ca, hop.client_pair))

    with_hop(test, Hop(tmp_path, host="elsewhere.example"))


class Load:
    """Several callers that call one after another call, until they are told to stop."""

    def __init__(self, hop: Hop) -> None:
        self._hop = hop
        self._seen: list[str] = []
        self._stopped = False
        self._callers = [asyncio.create_task(self._go_on()) for _ in range(4)]

    async def _go_on(self) -> None:
        while not self._stopped:
            self._seen.append(await self._hop.caller())

    async def until_known_as(self, name: str) -> None:
        """Wait until the service knows the callers by a name; fails when one was refused."""
        self._seen.clear()
        while self._seen[-20:] != [name] * 20:
            assert not any(caller.done() for caller in self._callers)
            await asyncio.sleep(0)

    async def stop(self) -> None:
        self._stopped = True
        await asyncio.gather(*self._callers)


def test_both_sides_and_their_authority_are_replaced_without_a_failed_call(tmp_path: Path) -> None:
    hop = Hop(tmp_path)
    (tmp_path / "old").mkdir()
    old = CertificatePair(tmp_path / "old" / "tls.crt", tmp_path / "old" / "tls.key")
    copy_pair(hop.client_pair, old)

    async def test(hop: Hop) -> None:
        load = Load(hop)
        stream = hop.channel.stream_stream(ECHO)()
        await stream.write(b"before")
        assert await stream.read() == b"before"
        await load.until_known_as("caller")
        # As docs/operations.md has it: both authorities are believed before either side changes.
        for path in (hop.client_ca, hop.services_ca):
            path.write_bytes(AUTHORITY.pem() + OTHER.pem())
        await hop.look()
        copy_pair(OTHER.issue(tmp_path, "renewed-service"), hop.server_pair)
        copy_pair(OTHER.issue(tmp_path, "renewed-caller"), hop.client_pair)
        await hop.look()
        await load.until_known_as("renewed-caller")
        for path in (hop.client_ca, hop.services_ca):
            path.write_bytes(OTHER.pem())
        await hop.look()
        await load.until_known_as("renewed-caller")
        assert await hop.is_refused(ClientCertificate(hop.services_ca, old))
        # What is on the connection of the old certificate goes on.
        await stream.write(b"after")
        assert await stream.read() == b"after"
        await stream.done_writing()
        assert await stream.code() is grpc.StatusCode.OK
        await load.stop()

    with_hop(test, hop)


def test_certificate_that_the_service_refuses_does_no_harm(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service_channel, "_SHOULD_STAND_AFTER_S", 0.2)

    async def test(hop: Hop) -> None:
        load = Load(hop)
        with capture_logs() as log:
            copy_pair(OTHER.issue(tmp_path, "foreign"), hop.client_pair)
            await hop.look()
            while not any(e["event"] == "no_connection_with_new_certificates" for e in log):
                assert await hop.caller() == "caller"
        copy_pair(AUTHORITY.issue(tmp_path, "mended"), hop.client_pair)
        await hop.look()
        await load.until_known_as("mended")
        await load.stop()

    with_hop(test, Hop(tmp_path))


@pytest.mark.parametrize(
    ("settings", "given", "words"),
    [
        (ServiceClientSettings, {"services_certificate"}, "services_private_key must be set too"),
        (ServiceClientSettings, {"services_private_key"}, "services_certificate must be set too"),
        (
            ServiceClientSettings,
            {"services_certificate", "services_private_key"},
            "set services_ca too",
        ),
        (ServiceSettings, {"tls_client_ca"}, "set tls_certificate too"),
    ],
)
def test_files_that_would_not_be_used_are_refused(
    settings: type[ServiceClientSettings | ServiceSettings], given: set[str], words: str
) -> None:
    with pytest.raises(ValidationError, match=words):
        settings.model_validate(dict.fromkeys(given, Path(__file__)))


def test_authorities_that_cannot_be_read_are_refused_at_the_start(tmp_path: Path) -> None:
    faulty = tmp_path / "ca.crt"
    faulty.write_text("-----BEGIN CERTIFICATE-----\n")
    with pytest.raises(SystemExit, match=r"services_ca: .*ca\.crt cannot be used"):
        ClientCertificate(faulty)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.closing(writer):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


@pytest.mark.parametrize("latency_s", [0.0, 0.5])
def test_the_other_side_may_be_slow_to_answer(latency_s: float) -> None:
    async def call() -> bytes:
        service = grpc.aio.server()
        service.add_generic_rpc_handlers((Answers(),))
        port = service.add_insecure_port("127.0.0.1:0")
        await service.start()

        async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await asyncio.sleep(latency_s)  # the distance, or a machine that is busy
            inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
            await asyncio.gather(_copy(reader, inner_writer), _copy(inner_reader, writer))

        far = await asyncio.start_server(relay, "127.0.0.1", 0)
        channel = ServiceChannel(f"127.0.0.1:{far.sockets[0].getsockname()[1]}", [])
        try:
            answer: bytes = await channel.unary_unary(WHO)(b"")
        finally:
            await channel.close()
            far.close()
            await service.stop(None)
        return answer

    assert asyncio.run(call()) == b"nobody"
