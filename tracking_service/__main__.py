"""`python -m tracking_service` serves; `... collect` removes bytes that no file refers to."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from dataclasses import asdict

from service_chassis.behind_gateway import service_server
from service_chassis.blob_store import open_blob_store
from service_chassis.database import Database
from service_chassis.errors import StudbookError
from service_chassis.server import serve_until_stopped
from service_chassis.server_process import set_up
from service_chassis.service_settings import read_settings
from tracking_service.collection import Collected, Collector
from tracking_service.service import TrackingService
from tracking_service.settings import TrackingSettings


async def serve(settings: TrackingSettings) -> None:
    """Serve until SIGTERM."""
    service = TrackingService(settings)
    server = service_server("tracking", settings)
    service.add_to(server.grpc)
    service.start()
    await serve_until_stopped(server, close=[service.close])


def collect(settings: TrackingSettings, *, delete: bool) -> Collected:
    """Collect now, beside services that run or not; without `delete` only say what there is.

    Raises:
        StudbookError: STORE_UNAVAILABLE.
    """
    database = Database(settings.database_url, "tracking_service", pool_size=1)
    try:
        database.migrate()
        blobs = open_blob_store(settings.artifact_store)
        collector = Collector(database, blobs, settings.grace_periods())
        return collector.collect() if delete else collector.look()
    finally:
        database.close()


def main() -> None:
    """Read the arguments and the settings, and do what they say."""
    parser = argparse.ArgumentParser(prog="python -m tracking_service", description=__doc__)
    commands = parser.add_subparsers(dest="command")
    collecting = commands.add_parser(
        "collect", help="say which stored bytes no file refers to, as one JSON object"
    )
    collecting.add_argument("--delete", action="store_true", help="remove them")
    options = parser.parse_args()
    settings = read_settings(TrackingSettings)
    set_up("tracking")
    if options.command is None:
        asyncio.run(serve(settings))
        return
    try:
        found = collect(settings, delete=options.delete)
    except StudbookError as error:
        sys.exit(error.message)
    sys.stdout.write(json.dumps({"deleted": options.delete, **asdict(found)}) + "\n")


if __name__ == "__main__":
    main()
