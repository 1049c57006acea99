"""Changes of concurrent callers that share a commit.

A commit waits for the disk, and in the meantime others come who want one too. They wait for the one
that is under way, and then go together: each change in a savepoint of one transaction, one commit
for all. A change that comes alone has a transaction of its own and pays for nothing else.
"""

from __future__ import annotations

import contextvars
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from service_chassis.errors import StudbookError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import sqlalchemy as sa

T = TypeVar("T")

# More gain nothing: by then the commit is a small part of what each costs.
_MOST_TOGETHER = 64


@dataclass(frozen=True, slots=True)
class _Change:
    work: Callable[[sa.Connection], Any]
    # Rows are locked in this order, so that two transactions cannot wait for each other.
    order: str
    future: Future[Any]
    context: contextvars.Context = field(default_factory=contextvars.copy_context)

    def run(self, connection: sa.Connection) -> Any:
        """Do the work as the caller would have done it."""
        return self.context.run(self.work, connection)


class SharedCommits:
    """Runs changes one after the other in one thread, as many to a commit as are waiting.

    Args:
        transact: Runs work in one transaction and commits it, once; raises what the work or the
            database did.
        repeat: The same, but repeats work that was in another transaction's way and turns what
            the database raises into errors for callers.
        name: What the thread is called.
    """

    def __init__(
        self,
        transact: Callable[[Callable[[sa.Connection], Any]], Any],
        repeat: Callable[[Callable[[sa.Connection], Any]], Any],
        name: str,
    ) -> None:
        self._transact = transact
        self._repeat = repeat
        self._waiting: deque[_Change] = deque()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def submit(self, work: Callable[[sa.Connection], T], order: str = "") -> Future[T]:
        """Have work done; its result is there once it is durable.

        Args:
            work: What to do. It may run several times and must have no other effects.
            order: Changes that wait together are run in this order; those with the same one, in
                the order in which they came.
        """
        change = _Change(work, order, Future())
        self._waiting.append(change)
        # One call for each change; most find that an earlier one has seen to it.
        self._thread.submit(self._see_to_waiting)
        return change.future

    def close(self) -> None:
        """Let what was submitted end."""
        self._thread.shutdown(wait=True)

    def _see_to_waiting(self) -> None:
        changes: list[_Change] = []
        while self._waiting and len(changes) < _MOST_TOGETHER:
            change = self._waiting.popleft()
            # Whoever gave up by now has nothing changed.
            if change.future.set_running_or_notify_cancel():
                changes.append(change)
        if not changes:
            return
        changes.sort(key=lambda change: change.order)
        if len(changes) == 1 or not self._done_together(changes):
            for change in changes:
                self._do_alone(change)

    def _do_alone(self, change: _Change) -> None:
        try:
            result = self._repeat(change.run)
        except BaseException as error:  # noqa: BLE001 - raised where the change was asked for
            change.future.set_exception(error)
        else:
            change.future.set_result(result)

    def _done_together(self, changes: Sequence[_Change]) -> bool:
        """Try all in one transaction; False when that failed and nothing was changed."""
        try:
            outcomes = self._transact(
                lambda connection: [_outcome(change, connection) for change in changes]
            )
        except Exception:  # noqa: BLE001 - whose fault it was shows when each goes alone
            return False
        for change, outcome in zip(changes, outcomes, strict=True):
            if isinstance(outcome, StudbookError):
                change.future.set_exception(outcome)
            else:
                change.future.set_result(outcome)
        return True


def _outcome(change: _Change, connection: sa.Connection) -> Any:
    """The result of a change, or the error with which it refused and took back what it did."""
    savepoint = connection.begin_nested()
    try:
        result = change.run(connection)
    except StudbookError as error:
        savepoint.rollback()
        return error
    savepoint.commit()
    return result
