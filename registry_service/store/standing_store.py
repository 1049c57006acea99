"""How versions and aliases stand: what a watch begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

import sqlalchemy as sa

from registry_service.alias_tables import alias_stays
from registry_service.records import Stage
from registry_service.tables import models, versions
from registry_service.watch_records import StandingAlias, StandingVersion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_VERSIONS = sa.select(
    versions.c.model,
    versions.c.name,
    versions.c.stage,
    versions.c.stage_us,
    versions.c.digest,
    versions.c.stage_position,
).where(versions.c.delete_us.is_(None))

_ALIASES = (
    sa.select(
        alias_stays.c.model,
        alias_stays.c.alias,
        alias_stays.c.version,
        alias_stays.c.start_us,
        versions.c.digest,
        alias_stays.c.position,
    )
    .join_from(alias_stays, versions, versions.c.uid == alias_stays.c.version_uid)
    .where(alias_stays.c.end_us.is_(None))
)


class StandingStore:
    """Reads how versions and aliases stand."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def versions(
        self, workspace: str, model: str, stages: Collection[Stage]
    ) -> Iterator[StandingVersion]:
        """Versions of a model, or of all of a workspace, that are in one of some stages.

        Args:
            workspace: Id of the workspace.
            model: Resource name of a model; empty for all of the workspace.
            stages: The stages; empty for all.
        """
        query = _VERSIONS.where(versions.c.model_uid.in_(_uids(workspace, model)))
        if stages:
            query = query.where(versions.c.stage.in_(stages))
        for row in self._connection.execute(query):
            yield StandingVersion(
                model=row.model,
                version=row.name,
                stage=Stage(row.stage),
                since_us=row.stage_us,
                digest=row.digest,
                position=row.stage_position,
            )

    def aliases(self, workspace: str, model: str) -> Iterator[StandingAlias]:
        """What the aliases of a model, or of all of a workspace, name."""
        query = _ALIASES.where(alias_stays.c.model_uid.in_(_uids(workspace, model)))
        for row in self._connection.execute(query):
            yield StandingAlias(
                model=row.model,
                alias=row.alias,
                version=row.version,
                since_us=row.start_us,
                digest=row.digest,
                position=row.position,
            )


def _uids(workspace: str, model: str) -> sa.Select[tuple[str]]:
    query = sa.select(models.c.uid).where(models.c.delete_us.is_(None))
    if model:
        return query.where(models.c.name == model)
    return query.where(models.c.workspace == workspace)
