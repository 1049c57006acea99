"""Starting the gateway: `python -m gateway`."""

from __future__ import annotations

import asyncio

from gateway.application import Gateway
from gateway.settings import GatewaySettings
from service_chassis.server import serve_until_stopped
from service_chassis.server_process import set_up
from service_chassis.service_settings import read_settings


async def run(settings: GatewaySettings) -> None:
    """Run the gateway until it is told to stop.

    Raises:
        SystemExit: A file that a setting names cannot be used, or an address cannot be bound.
    """
    gateway = Gateway(settings)
    await gateway.prepare()
    await serve_until_stopped(gateway.server, close=[gateway.close])


def main() -> None:
    """Read the settings and run."""
    set_up("gateway")
    asyncio.run(run(read_settings(GatewaySettings)))


if __name__ == "__main__":
    main()
