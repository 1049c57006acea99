"""Reading files beside the event loop, one step ahead of whoever sends what is read."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Item = TypeVar("Item")


async def read_ahead(items: Iterator[Item], count: int) -> AsyncIterator[Item]:
    """Yield what an iterator that blocks yields; the next item is fetched meanwhile.

    Args:
        items: Runs in threads, one step at a time.
        count: How many items it yields.

    Raises:
        BaseException: What the iterator raises, after the items before.
    """
    step = _begin(items)
    for left in range(count - 1, -1, -1):
        item = await step
        if left:
            step = _begin(items)
        yield item


def _begin(items: Iterator[Item]) -> asyncio.Future[Item]:
    step = asyncio.ensure_future(asyncio.to_thread(next, items))
    # Of a call that has been given up nobody asks how the last step went.
    step.add_done_callback(lambda done: done.cancelled() or done.exception())
    return step
