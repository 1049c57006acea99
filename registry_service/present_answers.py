"""What stands in a stage now, remembered for as long as the ledger has no new entry.

This is what every ops service asks, again and again, and next to nothing changes in between. Every
change of the registry appends to the ledger in its own transaction, whichever process makes it; so
while the ledger ends where it did, the answer is what it was.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.resolution import resolve_stage

if TYPE_CHECKING:
    from registry_service.records import Stage
    from registry_service.resolution import Resolution
    from registry_service.store import RegistryStore

_MOST_REMEMBERED = 10_000


class PresentAnswers:
    """Answers with the ledger position at which each was found. Threads may share it."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, Stage], tuple[int, Resolution]] = {}

    def resolve_stage(self, store: RegistryStore, model_name: str, stage: Stage) -> Resolution:
        """As `resolution.resolve_stage`; only for transactions that change nothing.

        Raises:
            StudbookError: NOT_FOUND for the model, or STAGE_EMPTY.
        """
        position = store.ledger.head().position
        known = self._known.get((model_name, stage))
        if known is not None and known[0] == position:
            return known[1]
        found = resolve_stage(store, model_name, stage)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[model_name, stage] = (position, found)
        return found
