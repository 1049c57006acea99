"""What stands in a stage now, remembered for as long as nothing has changed.

This is what every ops service asks, again and again, and next to nothing changes in between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.proto_conversion import to_resolved
from registry_service.resolution import resolve_stage

if TYPE_CHECKING:
    from registry_service.records import Stage
    from registry_service.registry_database import RegistryDatabase
    from studbook.registry.v1.serving_service_pb2 import ResolveVersionResponse

_MOST_REMEMBERED = 10_000


class PresentAnswers:
    """Answers, with the mark of the database before each was found.

    Args:
        database: The registry's database.
    """

    def __init__(self, database: RegistryDatabase) -> None:
        self._database = database
        self._known: dict[tuple[str, Stage], tuple[int, ResolveVersionResponse]] = {}

    async def of_stage(self, model_name: str, stage: Stage) -> ResolveVersionResponse:
        """The version that is in a stage now; as `resolution.resolve_stage`.

        Returns:
            What others are given too: not to be changed.

        Raises:
            StudbookError: NOT_FOUND for the model, or STAGE_EMPTY.
        """
        mark = await self._database.change_mark()
        known = self._known.get((model_name, stage))
        if known is not None and known[0] == mark:
            return known[1]
        found = await self._database.read(
            lambda store: resolve_stage(store, model_name, stage), brief=True
        )
        answer = to_resolved(found)
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        # What was committed after the mark was taken and is in the answer already makes the next
        # mark another one; that costs a second look and is never wrong.
        self._known[model_name, stage] = (mark, answer)
        return answer
