"""Keeping a training from being forked in the middle of what a thread beside it does.

Of a forked process only the thread that forked goes on. What others held is held for ever there:
the lock of a module that was being imported, for which a child waits without end as soon as it
imports the same; and the queue of a call of gRPC, over which gRPC, which begins anew in each
child, may end the child. So forking waits until threads of Studbook are done with such things; not
for long where they take long.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

# After the beginning, forking is not held up by it any more. An import that waits for a module
# which the thread that forks is importing would never be done; a server may never answer.
_IMPORT_S = 10.0
_CALL_S = 1.0


class _Gate:
    """Knows which threads are inside, and lets none in while a process is being forked."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        # Until when forking waits, by thread.
        self._inside: dict[int, float] = {}
        self._forking = 0

    @contextmanager
    def inside(self, patience_s: float) -> Iterator[None]:
        me = threading.get_ident()
        if me in self._inside:
            yield
            return
        with self._changed:
            while self._forking:
                self._changed.wait()
            self._inside[me] = time.monotonic() + patience_s
        try:
            yield
        finally:
            with self._changed:
                self._inside.pop(me, None)
                self._changed.notify_all()

    def before_fork(self) -> None:
        with self._changed:
            self._forking += 1
            while (wait := self._longest_wait_s()) > 0:
                self._changed.wait(wait)

    def _longest_wait_s(self) -> float:
        me, now = threading.get_ident(), time.monotonic()
        return max((end - now for thread, end in self._inside.items() if thread != me), default=0)

    def after_fork_in_parent(self) -> None:
        with self._changed:
            self._forking -= 1
            self._changed.notify_all()

    def after_fork_in_child(self) -> None:
        self._changed = threading.Condition()
        self._inside.clear()
        self._forking = 0


_gate = _Gate()
os.register_at_fork(
    before=_gate.before_fork,
    after_in_parent=_gate.after_fork_in_parent,
    after_in_child=_gate.after_fork_in_child,
)


@contextmanager
def importing() -> Iterator[None]:
    """Around whatever a thread of Studbook may be the first to import."""
    with _gate.inside(_IMPORT_S):
        yield


@contextmanager
def calling() -> Iterator[None]:
    """Around a call of gRPC."""
    with _gate.inside(_CALL_S):
        yield
