"""`python -m local_stack.together`: gateway, tracking and registry in one process.

The services are mounted in the gateway, so that a call has no hop between them. They serve on
their own ports besides, where the registry asks the tracking service as it does in an installation
of several machines, with a signed assertion.
"""

from __future__ import annotations

import asyncio

from gateway.application import Gateway
from gateway.settings import GatewaySettings
from registry_service.application import Application as Registry
from registry_service.settings import RegistrySettings
from service_chassis.behind_gateway import service_server
from service_chassis.server import serve_until_stopped
from service_chassis.server_process import set_up
from service_chassis.service_settings import read_settings
from tracking_service.service import TrackingService
from tracking_service.settings import TrackingSettings


async def _serve(
    tracking_settings: TrackingSettings,
    registry_settings: RegistrySettings,
    gateway_settings: GatewaySettings,
) -> None:
    tracking = TrackingService(tracking_settings)
    tracking_port = service_server("tracking", tracking_settings)
    tracking.add_to(tracking_port.grpc)
    registry = Registry(registry_settings)
    registry_port = service_server("registry", registry_settings, registry.followed)
    registry.add_to(registry_port.grpc)
    gateway = Gateway(
        gateway_settings, mounted={"tracking": tracking.add_to, "registry": registry.add_to}
    )
    tracking.start()
    await registry.prepare()
    await gateway.prepare()
    await serve_until_stopped(
        tracking_port,
        registry_port,
        gateway.server,
        close=[gateway.close, registry.close, tracking.close],
        end_calls=[registry.end_calls],
    )


def main() -> None:
    """Read the settings of all three and serve."""
    settings = (
        read_settings(TrackingSettings),
        read_settings(RegistrySettings),
        read_settings(GatewaySettings),
    )
    set_up("studbook")
    asyncio.run(_serve(*settings))


if __name__ == "__main__":
    main()
