"""Building, serving and draining a gRPC server."""

from __future__ import annotations

import asyncio
import gc
import signal
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
import structlog
from grpc_health.v1 import health, health_pb2
from grpc_reflection.v1alpha import reflection

from service_chassis.health import Health
from service_chassis.method_access import file_descriptors
from service_chassis.metrics_endpoint import MetricsEndpoint

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from service_chassis.followed_files import FollowedFiles
    from service_chassis.service_settings import ServerSettings

_log = structlog.get_logger("studbook.server")

# The transport refuses what is far beyond the limit without a word of explanation; what is a
# little beyond reaches our own check, which can name the limit.
_TRANSPORT_SLACK = 4


def server_options(settings: ServerSettings) -> list[tuple[str, int]]:
    """gRPC settings of every server of Studbook, each for its reason."""
    return [
        ("grpc.max_receive_message_length", settings.message_bytes * _TRANSPORT_SLACK),
        ("grpc.max_send_message_length", -1),
        # Between the two limits metadata would be refused at random.
        ("grpc.max_metadata_size", settings.metadata_bytes),
        ("grpc.absolute_max_metadata_size", settings.metadata_bytes),
        ("grpc.max_concurrent_streams", settings.concurrent_streams),
        *settings.connection_options(),
        # Two servers on one port must fail, not share it.
        ("grpc.so_reuseport", 0),
    ]


class Server:
    """A gRPC server with health and, when wanted, reflection.

    Args:
        settings: Address, limits and drain time.
        interceptors: What every call passes through.
        areas: Contract areas that are served, for health and reflection.
        followed: Files that are looked after while the server serves.

    Raises:
        SystemExit: The certificate that the settings name cannot be used.
    """

    def __init__(
        self,
        settings: ServerSettings,
        interceptors: Sequence[grpc.aio.ServerInterceptor[Any, Any]],
        areas: Sequence[str],
        followed: Sequence[FollowedFiles] = (),
    ) -> None:
        self._settings = settings
        self._certificate = settings.server_certificate()
        self._followed = list(followed)
        if self._certificate is not None:
            self._followed.append(self._certificate.files)
        self._watching: list[asyncio.Task[NoReturn]] = []
        self.grpc = grpc.aio.server(
            interceptors=list(interceptors),
            options=server_options(settings),
            maximum_concurrent_rpcs=settings.concurrent_calls,
        )
        # With every call grpc.aio waits anew for each of the methods that were registered, which
        # takes longer the more there are. Found by name, as all of them are anyway, they cost
        # nothing.
        self.grpc.add_registered_method_handlers = _not_registered  # type: ignore[attr-defined] # unknown to its stubs
        self._services = [
            service.full_name
            for area, file in file_descriptors()
            if area in areas
            for service in file.services_by_name.values()
        ]
        self._health = Health(settings.health_watches, settings.public_message_seconds)
        self._health.add_to(self.grpc)
        if settings.reflection:
            names = (*self._services, health.SERVICE_NAME, reflection.SERVICE_NAME)
            reflection.enable_server_reflection(names, self.grpc)
        self.port = 0
        self._metrics: MetricsEndpoint | None = None

    async def start(self) -> None:
        """Bind and serve.

        Raises:
            SystemExit: The address cannot be bound.
        """
        try:
            self.port = self._bind(self._settings.listen)
        except RuntimeError as error:
            message = f"Cannot listen on {self._settings.listen}: {error}"
            raise SystemExit(message) from None
        if self._settings.metrics_listen:
            self._metrics = MetricsEndpoint(self._settings.metrics_listen)
            _log.info("serving metrics", port=self._metrics.port)
        self._watching = [asyncio.create_task(files.watch()) for files in self._followed]
        await self.grpc.start()
        await self._set_health(health_pb2.HealthCheckResponse.SERVING)
        host = self._settings.listen.rsplit(":", 1)[0]
        _log.info("serving", address=f"{host}:{self.port}")

    def _bind(self, address: str) -> int:
        if self._certificate is None:
            return self.grpc.add_insecure_port(address)
        return self.grpc.add_secure_port(address, self._certificate.credentials())

    async def stop(self, end_calls: Sequence[Callable[[], None]] = ()) -> None:
        """Say NOT_SERVING, let running calls end within the drain time, then stop.

        Args:
            end_calls: What tells calls to end that would last, such as watches.
        """
        _log.info("draining", seconds=self._settings.drain_seconds)
        await self._set_health(health_pb2.HealthCheckResponse.NOT_SERVING)
        await asyncio.sleep(self._settings.announce_seconds)
        for end in end_calls:
            end()
        await self.grpc.stop(self._settings.drain_seconds)
        for watching in self._watching:
            watching.cancel()
        await asyncio.gather(*self._watching, return_exceptions=True)
        if self._metrics is not None:
            await asyncio.to_thread(self._metrics.close)
        _log.info("stopped")

    async def _set_health(self, status: health_pb2.HealthCheckResponse.ServingStatus) -> None:
        for name in ("", *self._services):
            await self._health.set(name, status)


def _not_registered(_service: str, _handlers: Mapping[str, Any]) -> None:
    """Leave handlers to those that `add_generic_rpc_handlers` was given."""


async def serve_until_stopped(
    *servers: Server,
    close: Sequence[Callable[[], Awaitable[None] | None]] = (),
    end_calls: Sequence[Callable[[], None]] = (),
) -> None:
    """Serve until SIGTERM or SIGINT, drain, then run the given closers in order.

    Several servers are started in the order given and stopped in the opposite one.
    """
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    for server in servers:
        await server.start()
    # What is there now stays; looking through it again and again would find no garbage.
    gc.collect()
    gc.freeze()
    await stopping.wait()
    for server in reversed(servers):
        await server.stop(end_calls)
    for closer in close:
        done = closer()
        if done is not None:
            await done
