"""The versions' tables."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from registry_service.alias_tables import alias_stays
from registry_service.records import File, Stage, Version, VersionState
from registry_service.store.actor_columns import read_actor
from registry_service.store.tag_rows import TagRows, tag_value
from registry_service.tables import (
    actors,
    models,
    version_files,
    version_lineages,
    version_tags,
    versions,
)
from registry_service.version_numbers import RELEASE_MARK, parse_number
from service_chassis.errors import StudbookError
from service_chassis.field_table import Field, FieldTable, Kind, Lookup
from service_chassis.listing import list_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from registry_service.records import Snapshot
    from service_chassis.listing import PageRequest


def _dynamic(path: tuple[str, ...]) -> Field | None:
    if len(path) == 2 and path[0] == "tags":
        column = tag_value(version_tags, version_tags.c.version_uid, versions.c.uid, path[1])
        return Field(column, Kind.TEXT)
    return None


def _sort_key(text: str) -> str:
    try:
        return parse_number(text, "filter", leading_v=True).sort_key
    except StudbookError as error:
        message = "a SemVer number such as 1.2.0"
        raise ValueError(message) from error


_names_now = alias_stays.alias("names_now")
_NAMES_NOW = _names_now.c.end_us.is_(None)
_ALIASES = (
    sa.select(sa.func.aggregate_strings(_names_now.c.alias, ","))
    .where(_names_now.c.version_uid == versions.c.uid, _NAMES_NOW)
    .correlate(versions)
    .scalar_subquery()
)

FIELDS = FieldTable(
    {
        "version": Field(versions.c.sort_key, Kind.TEXT, encode=_sort_key),
        "stage": Field(
            versions.c.stage,
            Kind.ENUM,
            values={stage.name: stage for stage in Stage},
        ),
        "state": Field(
            versions.c.state,
            Kind.ENUM,
            values={state.name: state for state in VersionState},
        ),
        "alias": Field(
            None,
            Kind.TEXT,
            lookup=Lookup(
                column=_names_now.c.alias,
                source=_names_now,
                owner=_names_now.c.version_uid,
                listed=versions.c.uid,
                rows=_NAMES_NOW,
            ),
            keyed=True,
        ),
        "source_run": Field(versions.c.source_run, Kind.TEXT),
        "description": Field(versions.c.description, Kind.TEXT),
        "creator": Field(actors.c.actor, Kind.TEXT),
        "create_time": Field(versions.c.create_us, Kind.TIMESTAMP),
        "update_time": Field(versions.c.update_us, Kind.TIMESTAMP),
        "stage_time": Field(versions.c.stage_us, Kind.TIMESTAMP),
        "was_in_production": Field(versions.c.was_in_production, Kind.BOOLEAN),
    },
    dynamic=_dynamic,
    forms=("tags.{key}",),
    sortable=frozenset({"version", "create_time", "update_time", "stage_time"}),
)

_VERSIONS = (
    sa.select(versions, actors.c.principal_json, _ALIASES.label("aliases"))
    .join_from(versions, actors, actors.c.position == versions.c.create_position)
    .where(versions.c.delete_us.is_(None))
)
# Made once: making a statement takes three times as long as running it, and these are asked by
# every ops service that wants to know what is in Production.
_BY_NAME = _VERSIONS.where(versions.c.name == sa.bindparam("name"))
_LATEST = (
    _VERSIONS.where(versions.c.stage == sa.bindparam("stage"))
    .order_by(versions.c.stage_us.desc(), versions.c.stage_position.desc())
    .limit(1)
)
_LATEST_IN = _LATEST.where(versions.c.model_uid == sa.bindparam("model_uid"))
_LATEST_OF = _LATEST.where(
    versions.c.model_uid
    == sa.select(models.c.uid)
    .where(models.c.name == sa.bindparam("model"), models.c.delete_us.is_(None))
    .scalar_subquery()
)
_FILES = (
    sa.select(version_files)
    .where(version_files.c.version_uid.in_(sa.bindparam("uids", expanding=True)))
    .order_by(version_files.c.version_uid, version_files.c.path)
)


class VersionStore:
    """Reads and writes versions."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._tags = TagRows(connection, version_tags, version_tags.c.version_uid)

    def find(self, name: str) -> Version | None:
        """The version of a name."""
        return self._one(_BY_NAME, {"name": name})

    def latest_in(self, model_uid: str, stage: Stage) -> Version | None:
        """The version that entered the stage last, of those that stand there."""
        return self._one(_LATEST_IN, {"model_uid": model_uid, "stage": stage})

    def latest_of(self, model: str, stage: Stage) -> Version | None:
        """The same by the name of the model, in one step."""
        return self._one(_LATEST_OF, {"model": model, "stage": stage})

    def is_taken(self, name: str) -> bool:
        """Whether a version of this name exists or ever did."""
        taken = sa.select(versions.c.uid).where(versions.c.name == name)
        return self._connection.execute(taken).first() is not None

    def highest_release(self, model: str, series_key: str = "") -> str:
        """The highest release that a model of this name ever had, or empty.

        Args:
            model: Name of the model.
            series_key: What its sort key begins with.
        """
        workspace = model.split("/")[1]
        uids = sa.select(models.c.uid).where(
            models.c.workspace == workspace, models.c.name == model
        )
        number = self._connection.execute(
            sa.select(versions.c.number)
            .where(
                versions.c.model_uid.in_(uids),
                # What follows in a key is a digit, and ":" follows the digits.
                versions.c.sort_key >= series_key,
                versions.c.sort_key < series_key + ":",
                versions.c.sort_key.endswith(RELEASE_MARK),
            )
            .order_by(versions.c.sort_key.desc())
            .limit(1)
        ).scalar_one_or_none()
        return number or ""

    def ready_numbers(self, model_uid: str) -> Iterator[str]:
        """The numbers of the READY versions of a model, highest precedence first."""
        rows = self._connection.execute(
            sa.select(versions.c.number)
            .where(
                versions.c.model_uid == model_uid,
                versions.c.state == VersionState.READY,
                versions.c.delete_us.is_(None),
            )
            .order_by(versions.c.sort_key.desc())
        )
        return iter(rows.scalars())

    def pending(self) -> list[str]:
        """Names of the versions whose files were not verified yet, oldest first."""
        rows = self._connection.execute(
            sa.select(versions.c.name)
            .where(
                versions.c.state == VersionState.PENDING,
                versions.c.delete_us.is_(None),
            )
            .order_by(versions.c.create_position)
        )
        return list(rows.scalars())

    def lineage(self, version: Version) -> bytes:
        """The lineage that was written down when the version was registered."""
        row = self._connection.execute(
            sa.select(version_lineages.c.lineage).where(
                version_lineages.c.version_uid == version.uid
            )
        ).one()
        return bytes(row.lineage)

    def insert(self, version: Version, sort_key: str, snapshot: Snapshot) -> None:
        """Add a version with its files and its lineage."""
        self._connection.execute(
            versions.insert().values(
                uid=version.uid,
                model_uid=version.model_uid,
                model=version.model,
                name=version.name,
                number=version.number,
                sort_key=sort_key,
                source_run=version.source_run,
                digest=version.digest,
                create_position=version.create_position,
                create_us=version.create_us,
                **_changeable(version),
            )
        )
        self._connection.execute(
            version_files.insert(),
            [
                {
                    "version_uid": version.uid,
                    "path": file.path,
                    "digest": file.digest,
                    "size_bytes": file.size_bytes,
                    "media_type": file.media_type,
                }
                for file in version.files
            ],
        )
        self._connection.execute(
            version_lineages.insert().values(
                version_uid=version.uid, lineage=snapshot.lineage, digest=snapshot.lineage_digest
            )
        )
        self._tags.replace(version.uid, version.tags)

    def save(self, version: Version) -> None:
        """Write what of a version can change, tags aside."""
        changed = {f"new_{name}": value for name, value in _changeable(version).items()}
        self._connection.execute(_SAVE, {"of_uid": version.uid, **changed})

    def save_tags(self, version: Version) -> None:
        """Write a version's tags."""
        self._tags.replace(version.uid, version.tags)

    def mark_deleted(self, version: Version, delete_us: int) -> None:
        """Let a version disappear; its number stays taken."""
        self._connection.execute(
            versions.update().where(versions.c.uid == version.uid).values(delete_us=delete_us)
        )

    def page(self, model_uid: str, page: PageRequest) -> tuple[list[Version], str]:
        """One page of the versions of a model."""
        base = _VERSIONS.where(versions.c.model_uid == model_uid)
        rows, token = list_page(self._connection, base, page, FIELDS, versions.c.uid)
        return self._records(rows), token

    def page_among(
        self,
        uids: sa.Select[Any],
        workspace: str,
        page: PageRequest,
        visible: Callable[[str], bool],
    ) -> tuple[list[Version], str]:
        """One page of those versions of a workspace that are selected, with visible names.

        Args:
            uids: Selects uids of versions.
            workspace: Name of the workspace.
            page: What was asked for.
            visible: Whether the caller may see a version of this name.
        """
        inside = f"{workspace}/models"
        base = _VERSIONS.where(
            versions.c.uid.in_(uids),
            # "0" follows "/".
            versions.c.model > f"{inside}/",
            versions.c.model < f"{inside}0",
        )
        rows, token = list_page(
            self._connection, base, page, FIELDS, versions.c.uid, lambda row: visible(row.name)
        )
        return self._records(rows), token

    def _one(self, query: sa.Select[Any], given: Mapping[str, object]) -> Version | None:
        return next(iter(self._records(self._connection.execute(query, given).all())), None)

    def _files(self, uids: Sequence[str]) -> Mapping[str, list[File]]:
        found: defaultdict[str, list[File]] = defaultdict(list)
        for row in self._connection.execute(_FILES, {"uids": uids}):
            found[row.version_uid].append(
                File(row.path, row.digest, row.size_bytes, row.media_type)
            )
        return found

    def _records(self, rows: Sequence[sa.Row[Any]]) -> list[Version]:
        if not rows:
            return []
        uids = [row.uid for row in rows]
        tags, files = self._tags.of(uids), self._files(uids)
        return [_version(row, tags.get(row.uid, {}), tuple(files[row.uid])) for row in rows]


_CHANGEABLE = (
    "state",
    "state_reason",
    "stage",
    "stage_us",
    "stage_position",
    "was_in_production",
    "description",
    "update_us",
    "change_position",
)


def _changeable(version: Version) -> dict[str, Any]:
    return {
        "state": version.state,
        "state_reason": version.state_reason,
        "stage": version.stage,
        "stage_us": version.stage_us,
        "stage_position": version.stage_position,
        "was_in_production": version.was_in_production,
        "description": version.description,
        "update_us": version.update_us,
        "change_position": version.change_position,
    }


# Made once: making a statement takes longer than running it.
_SAVE = (
    versions.update()
    .where(versions.c.uid == sa.bindparam("of_uid"))
    .values({name: sa.bindparam(f"new_{name}") for name in _CHANGEABLE})
)


def _version(row: sa.Row[Any], tags: Mapping[str, str], files: tuple[File, ...]) -> Version:
    return Version(
        uid=row.uid,
        model_uid=row.model_uid,
        model=row.model,
        name=row.name,
        number=row.number,
        state=VersionState(row.state),
        state_reason=row.state_reason,
        stage=Stage(row.stage),
        stage_us=row.stage_us,
        stage_position=row.stage_position,
        was_in_production=row.was_in_production,
        source_run=row.source_run,
        files=files,
        digest=row.digest,
        description=row.description,
        tags=tags,
        creator=read_actor(row.principal_json),
        create_position=row.create_position,
        create_us=row.create_us,
        update_us=row.update_us,
        change_position=row.change_position,
        aliases=tuple(sorted(row.aliases.split(","))) if row.aliases else (),
    )
