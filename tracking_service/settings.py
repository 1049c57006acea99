"""Settings of the tracking service, read from environment variables `STUDBOOK_TRACKING_...`."""

from __future__ import annotations

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from service_chassis.service_settings import ServiceSettings, TransferLimits
from tracking_service.artifact_limits import ArtifactLimits
from tracking_service.collection import GracePeriods
from tracking_service.metric_limits import MetricLimits
from tracking_service.run_limits import RunLimits


class TrackingSettings(TransferLimits, ServiceSettings):
    """What the tracking service needs beside what every service needs."""

    model_config = SettingsConfigDict(
        env_prefix="STUDBOOK_TRACKING_", extra="ignore", env_ignore_empty=True
    )

    listen: str = Field("127.0.0.1:7422", description="Address to serve on, `host:port`.")
    stale_after_seconds: float = Field(
        300.0,
        ge=1,
        description="How long nothing may be heard of a running run before it is shown as stale; "
        "several times the interval at which clients send heartbeats.",
    )
    stale_sweep_seconds: float = Field(
        30.0, ge=0, description="Time between two searches for stale runs; 0: never."
    )
    merge_seconds: float = Field(
        5.0,
        ge=0,
        description="Time between two searches for metrics whose small chunks are to be merged; "
        "0: never.",
    )
    run_metrics: int = Field(
        10_000,
        ge=1,
        description="Most metrics of one run; points of further ones are refused.",
    )
    run_param_bytes: int = Field(
        1 << 20,
        ge=1024,
        description="Most bytes that the parameters of one run take, keys and texts together; "
        "further ones are refused.",
    )
    run_inputs: int = Field(1000, ge=1, description="Most uses of datasets by one run.")
    answer_bytes: int = Field(
        4 * 1024 * 1024,
        ge=65_536,
        description="Largest answer about runs, in bytes: pages of lists end before it, anything "
        "else is refused with the remedy. Clients of gRPC take 4 MiB unless they are told "
        "otherwise.",
    )
    artifact_bytes: int = Field(
        1 << 40, ge=0, description="Largest file of a run, in bytes; larger ones are refused."
    )
    workspace_bytes: int = Field(
        0,
        ge=0,
        description="Most bytes that the files of one workspace take, each content counted once; "
        "0: no limit.",
    )
    run_files: int = Field(1_000_000, ge=1, description="Most files of one run.")
    collect_seconds: float = Field(
        6 * 3600.0,
        ge=0,
        description="Time between two collections of stored bytes that no file refers to; "
        "0: never.",
    )
    collect_grace_seconds: float = Field(
        24 * 3600.0,
        ge=0,
        description="How long bytes that no file refers to are kept after they were uploaded or "
        "found to be there already; longer than it ever takes to record a file after that.",
    )
    unfinished_upload_seconds: float = Field(
        7 * 24 * 3600.0,
        ge=0,
        description="How long an interrupted upload can be resumed.",
    )

    def metric_limits(self) -> MetricLimits:
        """How many metrics there may be."""
        return MetricLimits(self.points_per_batch, self.run_metrics)

    def run_limits(self) -> RunLimits:
        """How much one run may hold."""
        return RunLimits(self.run_param_bytes, self.run_inputs, self.answer_bytes)

    def artifact_limits(self) -> ArtifactLimits:
        """How much may be stored."""
        return ArtifactLimits(self.artifact_bytes, self.workspace_bytes, self.run_files)

    def grace_periods(self) -> GracePeriods:
        """What a collection leaves alone."""
        return GracePeriods(self.collect_grace_seconds, self.unfinished_upload_seconds)
