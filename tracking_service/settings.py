"""Settings of the tracking service, read from environment variables `STUDBOOK_TRACKING_...`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service_chassis.service_settings import ServiceSettings


class TrackingSettings(ServiceSettings):
    """What the tracking service needs beside what every service needs."""

    model_config = SettingsConfigDict(
        env_prefix="STUDBOOK_TRACKING_", extra="ignore", env_ignore_empty=True
    )

    listen: str = Field("127.0.0.1:7422", description="Address to serve on, `host:port`.")
    points_per_batch: int = Field(
        100_000, ge=1, le=1_000_000, description="Most metric points in one batch."
    )
    chunk_bytes: int = Field(
        2 * 1024 * 1024,
        ge=65_536,
        le=64 * 1024 * 1024,
        description="Largest data field of one message of an upload, in bytes.",
    )
