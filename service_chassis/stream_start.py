"""The beginning of a stream of answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grpc.aio import ServicerContext

    from service_chassis.caller import Metadata

# It fits into what a connection takes at once, unless the client is gone.
_LONGEST_S = 5.0


async def send_initial_metadata(context: ServicerContext[Any, Any], metadata: Metadata) -> None:
    """Send a call's initial metadata, to its end even when the call is cancelled meanwhile.

    Otherwise it goes out with the first answer, which may wait for a client that does not read; and
    grpc.aio takes it for sent only once that is through. A call that is cancelled before would be
    refused with the metadata once more, which gRPC drops without a word: its client would never
    hear of the end.
    """
    sending = asyncio.ensure_future(context.send_initial_metadata(metadata))
    try:
        await asyncio.shield(sending)
    except asyncio.CancelledError:
        await asyncio.wait([sending], timeout=_LONGEST_S)
        raise
