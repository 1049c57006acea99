"""What a server says of itself to everybody."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from studbook.identity.v1.identity_service_pb2 import GetServerInfoResponse


def server_info(address: str) -> GetServerInfoResponse:
    """Ask a server, without a token, how to log in there and what its limits are."""
    from studbook.client import Client  # noqa: PLC0415 - it imports the credentials, which ask here
    from studbook.credentials import NoToken  # noqa: PLC0415
    from studbook.identity.v1.identity_service_pb2 import (  # noqa: PLC0415 - with the client
        GetServerInfoRequest,
    )

    with Client(address, token_source=NoToken()) as client:
        return client.identity.GetServerInfo(GetServerInfoRequest())
