"""Settings that the servers have in common, read from environment variables."""

from __future__ import annotations

import ipaddress
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pydantic import Field, FilePath, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from service_chassis.certificates import CertificatePair, ClientCertificate, ServerCertificate
from service_chassis.connection_settings import ConnectionSettings

if TYPE_CHECKING:
    from pydantic import ValidationInfo
    from pydantic_core import ErrorDetails

Settings = TypeVar("Settings", bound=BaseSettings)


class ServerSettings(ConnectionSettings):
    """What every server needs. Subclasses set the prefix of the variables, and add their own."""

    model_config = SettingsConfigDict(extra="ignore", env_ignore_empty=True)

    listen: str = Field("127.0.0.1:0", description="Address to serve on, `host:port`.")
    message_bytes: int = Field(
        4 * 1024 * 1024, ge=65_536, le=256 * 1024 * 1024, description="Largest message in bytes."
    )
    metadata_bytes: int = Field(
        32 * 1024, ge=8192, le=1024 * 1024, description="Most metadata of one call in bytes."
    )
    concurrent_calls: int = Field(
        1000, ge=1, description="Most calls at a time; more are refused with RESOURCE_EXHAUSTED."
    )
    concurrent_streams: int = Field(256, ge=1, description="Most calls at a time per connection.")
    public_message_seconds: float = Field(
        3.0,
        gt=0,
        description="How long the message of a call that anybody may make, as for health, may take "
        "to come until it is refused with DEADLINE_EXCEEDED.",
    )
    health_watches: int = Field(
        64, ge=1, description="Most watches of health at a time, which need no token either."
    )
    announce_seconds: float = Field(
        0.0,
        ge=0,
        description="How long to go on serving after SIGTERM while health says NOT_SERVING, "
        "so that load balancers notice; 2 to 5 behind one.",
    )
    drain_seconds: float = Field(
        20.0, ge=0, description="How long running calls may go on after that."
    )
    reflection: bool = Field(default=False, description="Serve gRPC reflection.")
    metrics_listen: str = Field(
        "",
        pattern=r"^$|^.*:\d{1,5}$",
        description="Address to serve figures for Prometheus on, `host:port`, without a login: "
        "let only Prometheus reach it. Empty: nowhere.",
    )

    def server_certificate(self) -> ServerCertificate | None:
        """The certificate to serve with; plain text is served without."""
        return None


class TlsServerSettings(ServerSettings):
    """What a server needs that may speak TLS."""

    tls_certificate: FilePath | None = Field(
        None,
        description="Certificate chain (PEM) for TLS, read again when it changes.",
    )
    tls_private_key: FilePath | None = Field(
        None, validate_default=True, description="Its private key (PEM)."
    )

    @field_validator("tls_private_key")
    @classmethod
    def _is_a_pair(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        check_pair(info.data.get("tls_certificate"), key, "tls_certificate", "tls_private_key")
        return key

    def certificate_pair(self) -> CertificatePair | None:
        """The certificate to serve with, when there is one."""
        return certificate_pair(self.tls_certificate, self.tls_private_key)

    def server_certificate(self) -> ServerCertificate | None:
        """The certificate to serve with, followed; plain text is served without.

        Raises:
            SystemExit: It cannot be used.
        """
        pair = self.certificate_pair()
        return None if pair is None else ServerCertificate(pair)


class TransferLimits(BaseSettings):
    """Limits that tracking enforces and the gateway announces; to be set alike for both."""

    points_per_batch: int = Field(
        100_000, ge=1, le=1_000_000, description="Most metric points in one batch."
    )
    chunk_bytes: int = Field(
        2 * 1024 * 1024,
        ge=65_536,
        le=64 * 1024 * 1024,
        description="Largest data field of one message of an upload or download, in bytes.",
    )


class ServiceClientSettings(BaseSettings):
    """What a component needs that calls services."""

    services_ca: FilePath | None = Field(
        None,
        description="Certificates (PEM) of those who sign the services' certificates, read again "
        "when it changes. With it services are called with TLS, otherwise in plain text.",
    )
    services_certificate: FilePath | None = Field(
        None,
        description="Certificate chain (PEM) to show to services that ask for one, read again "
        "when it changes.",
    )
    services_private_key: FilePath | None = Field(
        None, validate_default=True, description="Its private key (PEM)."
    )

    @field_validator("services_private_key")
    @classmethod
    def _is_of_use(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        certificate = info.data.get("services_certificate")
        check_pair(certificate, key, "services_certificate", "services_private_key")
        if key is not None and info.data.get("services_ca") is None:
            message = "in plain text no certificate is shown; set services_ca too"
            raise ValueError(message)
        return key

    def client_certificate(self) -> ClientCertificate | None:
        """With what to call services, followed; they are called in plain text without.

        Raises:
            SystemExit: It cannot be used.
        """
        if self.services_ca is None:
            return None
        pair = certificate_pair(self.services_certificate, self.services_private_key)
        return ClientCertificate(self.services_ca, pair)


class ServiceSettings(TlsServerSettings):
    """What tracking and registry service need beside that."""

    # Assertions hold what their callers are bound to, which may be hundreds of patterns.
    metadata_bytes: int = Field(
        256 * 1024, ge=8192, le=1024 * 1024, description="Most metadata of one call in bytes."
    )
    concurrent_calls: int = Field(
        5000,
        ge=1,
        description="Most calls at a time, streams and watches included; more are refused with "
        "RESOURCE_EXHAUSTED.",
    )
    concurrent_streams: int = Field(
        5000,
        ge=1,
        description="Most calls at a time per connection. A gateway has one connection for all of "
        "its callers.",
    )
    tls_client_ca: FilePath | None = Field(
        None,
        validate_default=True,
        description="Certificates (PEM) of those who sign the callers' certificates, read again "
        "when it changes. With it, nobody gets a connection without such a certificate.",
    )
    database_url: str = Field(
        description="SQLAlchemy URL: `sqlite:////path/file.db` or `postgresql://user@host/name`."
    )
    database_connections: int = Field(
        8, ge=1, le=256, description="Most database transactions at a time."
    )
    artifact_store: str = Field(description="Folder of the artifact store, or its `file://` URL.")
    assertion_trusted_keys: dict[str, Path] = Field(
        description="Public keys (PEM files) of the components that may call, as a JSON object."
    )
    page_token_key_file: Path | None = Field(
        None,
        description="File with the key that seals page tokens, the same for all replicas. "
        "Without it tokens are good until the process ends.",
    )

    @field_validator("tls_client_ca")
    @classmethod
    def _is_asked_for(cls, ca: Path | None, info: ValidationInfo) -> Path | None:
        if ca is not None and info.data.get("tls_certificate") is None:
            message = "in plain text callers show no certificate; set tls_certificate too"
            raise ValueError(message)
        return ca

    def server_certificate(self) -> ServerCertificate | None:
        """The certificate to serve with, followed; plain text is served without.

        Raises:
            SystemExit: It cannot be used.
        """
        pair = self.certificate_pair()
        return None if pair is None else ServerCertificate(pair, self.tls_client_ca)

    def trusted_keys(self) -> dict[str, bytes]:
        """The public keys of the components that may call, by component."""
        return {name: path.read_bytes() for name, path in self.assertion_trusted_keys.items()}

    def page_token_key(self) -> bytes:
        """The key that seals page tokens."""
        if self.page_token_key_file is None:
            return secrets.token_bytes(32)
        return self.page_token_key_file.read_bytes()


def check_pair(certificate: Path | None, key: Path | None, *names: str) -> None:
    """Make sure that there are both or neither.

    Args:
        certificate: A certificate.
        key: Its key.
        names: What the two settings are called.

    Raises:
        ValueError: There is one of the two.
    """
    if (certificate is None) != (key is None):
        there, missing = names if key is None else reversed(names)
        message = f"{there} is set, so {missing} must be set too"
        raise ValueError(message)


def certificate_pair(certificate: Path | None, key: Path | None) -> CertificatePair | None:
    """The pair, when there are both."""
    return None if certificate is None or key is None else CertificatePair(certificate, key)


def read_settings(settings: type[Settings]) -> Settings:
    """Read settings from the environment.

    Raises:
        SystemExit: One or more are missing or wrong; the message names every one of them.
    """
    try:
        return settings()
    except ValidationError as error:
        lines = [
            f"  {_in_words(settings, problem)}"
            for problem in error.errors(include_url=False, include_input=False)
        ]
        message = "These settings are missing or wrong:\n" + "\n".join(lines)
        raise SystemExit(message) from None


def _in_words(settings: type[BaseSettings], problem: ErrorDetails) -> str:
    prefix = settings.model_config.get("env_prefix", "")
    variable = f"{prefix}{'__'.join(str(part) for part in problem['loc']).upper()}"
    field = settings.model_fields.get(str(problem["loc"][0])) if problem["loc"] else None
    if problem["type"] == "missing" and field is not None:
        return f"{variable} is not set: {field.description}"
    return f"{variable}: {problem['msg'].removeprefix('Value error, ')}"


def is_loopback_host(host: str) -> bool:
    """Whether a host name or IP address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_loopback(address: str) -> bool:
    """Whether a `host:port` can be reached from this machine only."""
    return is_loopback_host(address.rpartition(":")[0].strip("[]"))
