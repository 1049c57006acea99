"""The gateway's settings, from environment variables that begin with STUDBOOK_GATEWAY_."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, FilePath, field_validator
from pydantic_settings import SettingsConfigDict

from gateway.metadata_limits import MetadataLimits
from gateway.turnstile import IdentityLimits
from gateway.web.settings import WebSettings
from service_chassis.request_message import LONGEST_WAIT_S
from service_chassis.service_settings import (
    ServiceClientSettings,
    ServiceSettings,
    TlsServerSettings,
    TransferLimits,
    is_loopback,
)
from service_chassis.stream_pace import StreamPace

if TYPE_CHECKING:
    from pydantic import ValidationInfo

    from service_chassis.certificates import CertificatePair


class GatewaySettings(WebSettings, TransferLimits, ServiceClientSettings, TlsServerSettings):
    """What the gateway needs to know."""

    model_config = SettingsConfigDict(env_prefix="STUDBOOK_GATEWAY_")

    listen: str = Field("127.0.0.1:7420", description="Address to serve on, `host:port`.")
    tracking_address: str = Field("127.0.0.1:7422", description="The tracking service.")
    registry_address: str = Field("127.0.0.1:7423", description="The registry service.")
    access_file: FilePath = Field(description="The access rules, `access.yaml`.")
    assertion_private_key: FilePath = Field(
        description="Ed25519 private key (PEM) with which callers are vouched for to the services."
    )
    token_keys: FilePath | None = Field(
        None,
        description="Ed25519 private keys (PEM, one after another) for the tokens that CI jobs get "
        "in exchange for those of their CI system; the first signs, all are accepted. The same for "
        "all replicas. Without it no tokens are exchanged.",
    )
    exchanged_token_seconds: int = Field(
        900,
        ge=60,
        le=86_400,
        description="How long those tokens are good. A job may ask for less, or for as long as its "
        "CI system's token is good.",
    )
    dev_issuer: FilePath | None = Field(
        None,
        description="Configuration of the embedded development issuer, to start it. For trying "
        "things out on one machine: it logs people in without asking who they are.",
    )
    concurrent_calls: int = Field(
        5000,
        ge=1,
        description="Most calls at a time, watches included; more are refused with "
        "RESOURCE_EXHAUSTED.",
    )
    metadata_entries: int = Field(128, ge=16, description="Most entries of metadata of one call.")
    identity_calls_per_second: int = Field(
        2000,
        ge=1,
        description="Most calls a second of one identity, in the long run; more are refused with "
        "RESOURCE_EXHAUSTED and the time to wait. A stream counts as one call.",
    )
    identity_burst: int = Field(
        20_000, ge=1, description="Most calls at once of one identity, after a pause."
    )
    identity_calls_at_a_time: int = Field(
        2000, ge=1, description="Most calls of one identity at a time, watches included."
    )
    refusals_per_second: int = Field(
        100,
        ge=1,
        description="Most refusals of tokens a second that are answered at once; the others wait "
        "half a second, so that a flood of bad tokens takes little from those who have good ones.",
    )
    message_seconds: float = Field(
        LONGEST_WAIT_S,
        gt=0,
        description="How long the message of a call that is no stream may take to come until the "
        "call is refused with DEADLINE_EXCEEDED. It may have megabytes, and come over a slow line.",
    )
    service_metadata_bytes: int = Field(
        ServiceSettings.model_fields["metadata_bytes"].default,
        ge=16 * 1024,
        le=1024 * 1024,
        description="What the services have as METADATA_BYTES, the least of them: a caller whose "
        "grants for a method take more than that less 8 KiB is refused, with the number of them.",
    )
    stalled_stream_seconds: float = Field(
        120.0,
        gt=0,
        description="How long a client may keep a transfer waiting, for its next message or by not "
        "reading, until it is refused with DEADLINE_EXCEEDED. With as much again it may leave the "
        "end of a call unread; then its connection is closed.",
    )
    quiet_stream_seconds: float = Field(
        3600.0,
        gt=0,
        description="How long the client of StreamMetrics may have nothing to say, as between two "
        "epochs, until the stream is ended with DEADLINE_EXCEEDED.",
    )
    key_fetch_pause_seconds: int = Field(
        60,
        ge=1,
        description="When a token names a key that is not known, its issuer's keys are fetched, "
        "but not again before so many seconds have passed.",
    )
    allow_plaintext: bool = Field(
        default=False,
        validate_default=True,
        description="Serve other machines without TLS. Only behind a proxy that adds it.",
    )

    @field_validator("listen", "tracking_address", "registry_address")
    @classmethod
    def _has_a_port(cls, address: str) -> str:
        port = address.rpartition(":")[2]
        if not port.isdigit() or int(port) > 65_535:
            message = f'"{address}" must end with a port, as in 127.0.0.1:7420'
            raise ValueError(message)
        return address

    @field_validator("allow_plaintext")
    @classmethod
    def _tokens_are_protected(cls, allowed: bool, info: ValidationInfo) -> bool:  # noqa: FBT001
        certificate = info.data.get("tls_certificate")
        listened = [info.data.get(name) for name in ("listen", "web_listen")]
        open_to_all = [address for address in listened if address and not is_loopback(address)]
        if open_to_all and certificate is None and not allowed:
            message = (
                f"{open_to_all[0]} can be reached from other machines, and without TLS everybody "
                "on the way can read tokens; set tls_certificate and tls_private_key, or "
                "allow_plaintext when a proxy in front adds TLS"
            )
            raise ValueError(message)
        return allowed

    def metadata_limits(self) -> MetadataLimits:
        """How much may come with a call."""
        return MetadataLimits(self.metadata_bytes, self.metadata_entries)

    def stream_pace(self) -> StreamPace:
        """What is expected of the clients of streams."""
        return StreamPace(
            stalled_s=self.stalled_stream_seconds,
            quiet_s=self.quiet_stream_seconds,
            message_s=self.message_seconds,
        )

    def identity_limits(self) -> IdentityLimits:
        """What one identity may do."""
        return IdentityLimits(
            calls_per_second=self.identity_calls_per_second,
            burst=self.identity_burst,
            calls_at_a_time=self.identity_calls_at_a_time,
        )

    def web_certificate(self) -> CertificatePair | None:
        """Certificate chain and key for the pages, when they are served with TLS."""
        return None if is_loopback(self.web_listen) else self.certificate_pair()
