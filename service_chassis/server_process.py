"""How a process that serves is set up, before it starts any thread."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

from service_chassis.telemetry import configure_logging
from studbook.bulk_data import keep_freed_memory

_SWITCH_INTERVAL_S = 0.0005
_M_ARENA_MAX = -8
_ARENAS = 2


def set_up(component: str) -> None:
    """Set up logging, threads and memory.

    Args:
        component: What the log calls this process.
    """
    configure_logging(component)
    # Database threads and the event loop take turns many times in one call. With Python's usual
    # five milliseconds a turn, a busy thread makes the others wait longer than they work.
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    keep_freed_memory()
    _share_freed_memory()


def _share_freed_memory() -> None:
    """Let threads use again what others of them have freed.

    The GNU C library gives each thread a heap of its own, up to eight a core, and each keeps what
    its largest messages took. Python's threads take turns anyway, so two heaps are as fast, and a
    process that moves large files is a fifth smaller. It counts only if it is said before there
    are many threads.
    """
    # Other C libraries have neither the function nor the heaps.
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, _ARENAS)
