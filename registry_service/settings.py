"""Settings of the registry service, read from environment variables."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from registry_service.loaded_records import Retention
from registry_service.public_addresses import read_networks
from registry_service.signing import Signer
from registry_service.watch_records import WatchLimits
from registry_service.webhook_records import DeliveryLimits
from service_chassis.service_settings import ServiceClientSettings, ServiceSettings

_DAY_US = 24 * 3600 * 1_000_000


class RegistrySettings(ServiceClientSettings, ServiceSettings):
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
    trusted_signing_keys: Path | None = Field(
        None,
        description="Public keys (PEM file, one after the other) that signed before or will sign "
        "next. Checkpoints signed with them are valid, too.",
    )
    checkpoint_minutes: float = Field(
        60.0,
        ge=0,
        description="How often to sign a checkpoint of the ledger, in minutes, when anything was "
        "entered since the last one; 0 for on demand only.",
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

    watchers: int = Field(
        2000, ge=1, description="Most watches at a time; more are refused with RESOURCE_EXHAUSTED."
    )
    watch_minutes: float = Field(
        10.0,
        gt=0,
        le=14,
        description="After how many minutes a watch ends, so that permissions are looked at anew "
        "when the watcher calls again.",
    )
    watch_replay_days: float = Field(
        7.0, gt=0, description="How old changes may be that a resumed watch still tells, in days."
    )
    watch_poll_seconds: float = Field(
        1.0,
        gt=0,
        description="How often to look for changes of which no word has come, in seconds.",
    )

    webhook_key_file: Path | None = Field(
        None,
        description="File with the key from which the secrets of webhooks follow, 16 bytes or "
        "more, the same for all replicas. Without it there are no webhooks; with another one all "
        "secrets change.",
    )
    webhook_allowed_networks: list[str] = Field(
        [],
        description="Networks that webhooks may call although they are not public, also without "
        'TLS, as a JSON list, e.g. `["10.1.0.0/16"]`.',
    )
    webhook_timeout_seconds: float = Field(
        10.0, gt=0, le=60, description="How long a webhook may take to answer, in seconds."
    )
    webhook_retry_seconds: float = Field(
        5.0,
        gt=0,
        le=3600,
        description="How long to wait after a first failed delivery, in seconds; doubled with "
        "each further one, up to an hour.",
    )
    webhook_pause_hours: float = Field(
        24.0, gt=0, description="A webhook is paused when all deliveries fail for so many hours."
    )
    webhook_deliveries: int = Field(
        1000, ge=1, description="How many deliveries of each webhook are kept to be looked at."
    )
    webhooks: int = Field(100, ge=0, description="Most webhooks of one workspace.")

    @field_validator("webhook_allowed_networks")
    @classmethod
    def _are_networks(cls, texts: list[str]) -> list[str]:
        read_networks(texts)
        return texts

    def limits_of_deliveries(self) -> DeliveryLimits:
        """How deliveries to webhooks are repeated and kept."""
        return DeliveryLimits(
            first_pause_us=int(self.webhook_retry_seconds * 1_000_000),
            give_up_us=int(self.webhook_pause_hours * 3600 * 1_000_000),
            keep=self.webhook_deliveries,
        )

    def limits_of_watches(self) -> WatchLimits:
        """How long watches last, and how far back they reach."""
        return WatchLimits(self.watch_minutes * 60, int(self.watch_replay_days * _DAY_US))

    def signer(self) -> Signer:
        """Signs certificates and checkpoints.

        Raises:
            ValueError: `signing_key` is no Ed25519 key.
            InvalidArgument: There is something else than Ed25519 keys in `trusted_signing_keys`.
            OSError: One of the files cannot be read.
        """
        trusted = self.trusted_signing_keys
        return Signer(
            self.signing_key.read_bytes(), b"" if trusted is None else trusted.read_bytes()
        )

    def retention_of_reports(self) -> Retention:
        """Which reports of what was loaded are kept."""
        return Retention(int(self.loaded_days * _DAY_US), self.loaded_instances)
