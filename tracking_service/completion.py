"""Work that is seen to its end although whoever asked for it has given up."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

Result = TypeVar("Result")


async def completed(work: Awaitable[Result]) -> Result:
    """The result of work in a thread, or in the database, which cannot be interrupted.

    A cancelled caller learns that it is cancelled only when the work has ended, so that what it
    works on can be let go of then.

    Raises:
        BaseException: What the work raises; CancelledError for a cancelled caller.
    """
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        # Nobody asks any more how it went.
        _ = running.cancelled() or running.exception()
        raise
