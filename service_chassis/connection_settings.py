"""What a client's connection may do, apart from its calls."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import BaseSettings

_SIGN_OF_LIFE_S = 20.0


class ConnectionSettings(BaseSettings):
    """Limits of connections. gRPC keeps them by closing the connection; none fails a call."""

    connections: int = Field(
        10_000,
        ge=1,
        description="Most connections at a time; further ones are closed at once. Keep it well "
        "below the file descriptors that the process may have.",
    )
    handshake_seconds: float = Field(
        20.0,
        gt=0,
        description="How long a client may take for TLS and the beginning of HTTP/2.",
    )
    idle_connection_seconds: float = Field(
        600.0,
        ge=1,
        description="After how long a connection without calls is closed; clients make a new one "
        "with the next call.",
    )
    connection_seconds: float = Field(
        1800.0,
        ge=1,
        description="After how long clients are asked to make a new connection, so that balancers "
        "can move them; varied by a tenth.",
    )
    connection_grace_seconds: float = Field(
        3600.0,
        ge=0,
        description="How long calls may go on after that; then the old connection is closed with "
        "those that are left.",
    )
    dead_connection_seconds: float = Field(
        120.0,
        ge=1,
        description="When nothing has been heard of a client for so long it is asked for a sign of "
        "life, and without one its connection is closed after 20 seconds more.",
    )
    ping_seconds: float = Field(
        30.0,
        gt=0,
        description="Shortest time between two pings of a client that has nothing else to say; "
        "one that pings more often loses its connection. The SDK pings each 60 s during a call.",
    )

    def connection_options(self) -> list[tuple[str, int]]:
        """The same as gRPC has it."""
        return [
            ("grpc.max_allowed_incoming_connections", self.connections),
            ("grpc.server_handshake_timeout_ms", _ms(self.handshake_seconds)),
            ("grpc.max_connection_idle_ms", _ms(self.idle_connection_seconds)),
            ("grpc.max_connection_age_ms", _ms(self.connection_seconds)),
            ("grpc.max_connection_age_grace_ms", _ms(self.connection_grace_seconds)),
            ("grpc.keepalive_time_ms", _ms(self.dead_connection_seconds)),
            ("grpc.keepalive_timeout_ms", _ms(_SIGN_OF_LIFE_S)),
            # Without it gRPC waits a minute whatever the other says.
            ("grpc.http2.ping_timeout_ms", _ms(_SIGN_OF_LIFE_S)),
            ("grpc.http2.min_ping_interval_without_data_ms", _ms(self.ping_seconds)),
            # Both sides may ask without a call under way.
            ("grpc.keepalive_permit_without_calls", 1),
        ]


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))
