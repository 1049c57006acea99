"""Starts the tracking service: `python -m tracking_service`."""

from __future__ import annotations

import asyncio

from service_chassis.assertion import AssertionVerifier
from service_chassis.call_pipeline import CallPipeline
from service_chassis.server import Server, serve_until_stopped
from service_chassis.service_settings import read_settings
from service_chassis.telemetry import configure_logging
from tracking_service.service import TrackingService
from tracking_service.settings import TrackingSettings


async def serve(settings: TrackingSettings) -> None:
    """Serve until SIGTERM."""
    service = TrackingService(settings)
    pipeline = CallPipeline(AssertionVerifier("tracking", settings.trusted_keys()))
    server = Server(settings, [pipeline], ["tracking"])
    service.add_to(server.grpc)
    service.start()
    await serve_until_stopped(server, close=[service.close])


def main() -> None:
    """Read the settings and serve."""
    settings = read_settings(TrackingSettings)
    configure_logging("tracking")
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
