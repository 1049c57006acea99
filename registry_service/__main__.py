"""`python -m registry_service` serves the registry until SIGTERM or SIGINT.

`python -m registry_service verify` verifies its database instead.
"""

from __future__ import annotations

import asyncio
import sys

from registry_service.application import Application
from registry_service.settings import RegistrySettings
from registry_service.verify_command import verify
from service_chassis.behind_gateway import service_server
from service_chassis.server import serve_until_stopped
from service_chassis.server_process import set_up
from service_chassis.service_settings import read_settings


async def _serve(settings: RegistrySettings) -> None:
    application = Application(settings)
    await application.prepare()
    server = service_server("registry", settings, application.followed)
    application.add_to(server.grpc)
    await serve_until_stopped(server, close=[application.close], end_calls=[application.end_calls])


def main() -> None:
    """Read the settings and serve, or verify."""
    if sys.argv[1:2] == ["verify"]:
        sys.exit(verify(sys.argv[2:]))
    set_up("registry")
    asyncio.run(_serve(read_settings(RegistrySettings)))


if __name__ == "__main__":
    main()
