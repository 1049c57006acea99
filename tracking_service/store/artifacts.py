"""Queries on the files of runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.listing import list_page
from tracking_service.records import Artifact
from tracking_service.store.listed_fields import ARTIFACT_FIELDS
from tracking_service.tables import artifacts

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from service_chassis.listing import PageRequest
    from tracking_service.records import RunPlace

# Each range is a node of the expression, whose depth SQLite limits to 1000.
_RANGES_A_QUERY = 100


class ArtifactStore:
    """The files of runs within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def find(self, run: RunPlace, path: str) -> Artifact | None:
        """The file of a run at this path."""
        return self.at_paths(run, [path]).get(path)

    def at_paths(self, run: RunPlace, paths: Collection[str]) -> dict[str, Artifact]:
        """Those of the paths that the run has files at."""
        statement = sa.select(artifacts).where(
            artifacts.c.run == run.key, artifacts.c.path.in_(paths)
        )
        return {row.path: _record(run, row) for row in self._connection.execute(statement)}

    def below(self, run: RunPlace, folders: Sequence[str]) -> str | None:
        """The path of any file of the run that lies below one of these folders."""
        for start in range(0, len(folders), _RANGES_A_QUERY):
            # "0" is the character after "/", so the range holds all that begins with `folder/`.
            ranges = [
                sa.and_(artifacts.c.path > f"{folder}/", artifacts.c.path < f"{folder}0")
                for folder in folders[start : start + _RANGES_A_QUERY]
            ]
            statement = (
                sa.select(artifacts.c.path)
                .where(artifacts.c.run == run.key, sa.or_(*ranges))
                .limit(1)
            )
            path: str | None = self._connection.execute(statement).scalar_one_or_none()
            if path is not None:
                return path
        return None

    def of_run(self, run: RunPlace) -> list[Artifact]:
        """All files of a run, by path."""
        statement = (
            sa.select(artifacts).where(artifacts.c.run == run.key).order_by(artifacts.c.path)
        )
        return [_record(run, row) for row in self._connection.execute(statement)]

    def page(self, run: RunPlace, page: PageRequest) -> tuple[list[Artifact], str]:
        """One page of a run's files, and the next token."""
        rows, token = list_page(
            self._connection,
            sa.select(artifacts).where(artifacts.c.run == run.key),
            page,
            ARTIFACT_FIELDS,
            artifacts.c.path,
        )
        return [_record(run, row) for row in rows], token

    def put(self, run: RunPlace, files: Sequence[Artifact], *, replaced: Collection[str]) -> None:
        """Store files; those at the replaced paths take the place of what is there."""
        if replaced:
            self._connection.execute(
                artifacts.delete().where(artifacts.c.run == run.key, artifacts.c.path.in_(replaced))
            )
        if files:
            self._connection.execute(artifacts.insert(), [_row(run, file) for file in files])

    def count(self, run: RunPlace) -> int:
        """Number of files of a run."""
        statement = sa.select(sa.func.count()).where(artifacts.c.run == run.key)
        return self._connection.execute(statement).scalar_one()


def _record(run: RunPlace, row: sa.Row[Any]) -> Artifact:
    return Artifact(
        run=run.name,
        path=row.path,
        digest=row.digest,
        size_bytes=row.size_bytes,
        media_type=row.media_type,
        create_us=row.create_time,
    )


def _row(run: RunPlace, file: Artifact) -> dict[str, Any]:
    return {
        "run": run.key,
        "path": file.path,
        "digest": file.digest,
        "size_bytes": file.size_bytes,
        "media_type": file.media_type,
        "create_time": file.create_us,
    }
