"""Settings of the registry service, read from environment variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from registry_service.loaded_records import Retention
from service_chassis.service_settings import ServiceSettings

_DAY_US = 24 * 3600 * 1_000_000


class RegistrySettings(ServiceSettings):
    """What the registry needs beside what every service needs."""

    model_config = SettingsConfigDict(
        env_prefix="STUDBOOK_REGISTRY_", extra="ignore", env_ignore_empty=True
    )

    listen: str = Field("127.0.0.1:7423", description="Address to serve on, `host:port`.")
    tracking_address: str = Field(
        description="Address of the tracking service, `host:port` or any gRPC target."
    )
    tracking_timeout_seconds: float = Field(
        10.0, gt=0, description="How long to wait for the tracking service."
    )
    assertion_private_key: Path = Field(
        description="Private key (PEM file, Ed25519) that vouches to the tracking service."
    )
    signing_key: Path = Field(
        description="Private key (PEM file, Ed25519) that signs certificates. Another one than "
        "those for assertions: people keep its public half for years."
    )
    verify_at_once_bytes: int = Field(
        256 * 1024 * 1024,
        ge=0,
        description="Size of all files together up to which a new version is verified before "
        "CreateVersion answers; larger ones are verified in the background.",
    )
    loaded_days: float = Field(
        30.0, gt=0, description="How long a report of what an instance has loaded is kept, in days."
    )
    loaded_instances: int = Field(
        1000, ge=1, description="Of how many instances of each caller and model reports are kept."
    )

    def retention_of_reports(self) -> Retention:
        """Which reports of what was loaded are kept."""
        return Retention(int(self.loaded_days * _DAY_US), self.loaded_instances)
