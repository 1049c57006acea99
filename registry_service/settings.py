"""Settings of the registry service, read from environment variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service_chassis.service_settings import ServiceSettings


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
    verify_at_once_bytes: int = Field(
        256 * 1024 * 1024,
        ge=0,
        description="Size of all files together up to which a new version is verified before "
        "CreateVersion answers; larger ones are verified in the background.",
    )
