"""Settings of the tracking service, read from environment variables `STUDBOOK_TRACKING_...`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service_chassis.service_settings import ServiceSettings, TransferLimits


class TrackingSettings(TransferLimits, ServiceSettings):
    """What the tracking service needs beside what every service needs."""

    model_config = SettingsConfigDict(
        env_prefix="STUDBOOK_TRACKING_", extra="ignore", env_ignore_empty=True
    )

    listen: str = Field("127.0.0.1:7422", description="Address to serve on, `host:port`.")
