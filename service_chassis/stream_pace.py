"""How long a stream waits for its client.

gRPC waits without end for a client that neither sends nor reads, as long as the connection stands
and no deadline was named. A few thousand such calls are all that a server takes on.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from service_chassis.errors import stream_stalled
from service_chassis.request_message import LONGEST_WAIT_S

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from grpc.aio import ServicerContext

    from service_chassis.method_access import Method

Message = TypeVar("Message")


@dataclass(frozen=True)
class StreamPace:
    """What is expected of the client of a stream. It may wait for the server as long as it likes.

    Attributes:
        stalled_s: Most seconds between two messages of a transfer, and until a message to the
            client is on its way, which it is once the client has read enough of those before.
        quiet_s: Most seconds between two messages of a conversation, whose client may have
            nothing to say for long.
        message_s: Most seconds until the message of a call that is no stream has come.
    """

    stalled_s: float
    quiet_s: float
    message_s: float = LONGEST_WAIT_S

    async def messages(
        self, method: Method, messages: AsyncIterator[Message]
    ) -> AsyncIterator[Message]:
        """What the client of a method sends.

        Raises:
            StudbookError: STREAM_STALLED.
        """
        longest_s = self.quiet_s if method.server_streaming else self.stalled_s
        coming = aiter(messages)
        while True:
            try:
                async with asyncio.timeout(longest_s):
                    message = await anext(coming)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise stream_stalled("send", longest_s) from None
            yield message

    async def write(self, context: ServicerContext[Any, Message], message: Message) -> None:
        """Send a message to the client.

        Raises:
            StudbookError: STREAM_STALLED.
        """
        try:
            async with asyncio.timeout(self.stalled_s):
                await context.write(message)
        except TimeoutError:
            raise stream_stalled("read", self.stalled_s) from None
