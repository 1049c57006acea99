"""How long calls take, one after another and at once.

The peer's programs measure with it, too, in the peer's environment: so it needs nothing installed.
"""

from __future__ import annotations

import statistics
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = 400
SECONDS = 4.0


def latency(call: Callable[[], object], calls: int = CALLS) -> dict[str, float]:
    """Median, 95th and 99th percentile of one call after another, in milliseconds."""
    for _ in range(min(20, calls)):
        call()
    taken = []
    for _ in range(calls):
        start = time.perf_counter()
        call()
        taken.append((time.perf_counter() - start) * 1000)
    taken.sort()
    return {
        "p50_ms": round(statistics.median(taken), 3),
        "p95_ms": round(taken[int(len(taken) * 0.95)], 3),
        "p99_ms": round(taken[int(len(taken) * 0.99)], 3),
    }


def rate(*calls: Callable[[], int]) -> int:
    """Units a second that calls do, each in a thread of its own; a call returns how many it did."""
    done = [0] * len(calls)
    start = time.perf_counter()

    def repeat(place: int) -> None:
        while time.perf_counter() - start < SECONDS:
            done[place] += calls[place]()

    threads = [threading.Thread(target=repeat, args=(place,)) for place in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return round(sum(done) / (time.perf_counter() - start))
