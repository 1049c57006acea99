"""The models' tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from registry_service.alias_tables import protected_aliases
from registry_service.records import Model, Stage
from registry_service.store.actor_columns import read_actor
from registry_service.store.tag_rows import TagRows, tag_value
from registry_service.tables import actors, model_tags, models, versions
from service_chassis.field_table import Field, FieldTable, Kind
from service_chassis.listing import list_page

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from service_chassis.listing import PageRequest


def _dynamic(path: tuple[str, ...]) -> Field | None:
    if len(path) == 2 and path[0] == "tags":
        column = tag_value(model_tags, model_tags.c.model_uid, models.c.uid, path[1])
        return Field(column, Kind.TEXT)
    return None


FIELDS = FieldTable(
    {
        "name": Field(models.c.name, Kind.TEXT),
        "description": Field(models.c.description, Kind.TEXT),
        "creator": Field(actors.c.actor, Kind.TEXT),
        "create_time": Field(models.c.create_us, Kind.TIMESTAMP),
        "update_time": Field(models.c.update_us, Kind.TIMESTAMP),
    },
    dynamic=_dynamic,
    forms=("tags.{key}",),
    sortable=frozenset({"name", "create_time", "update_time"}),
)

_OWN_VERSIONS = sa.and_(versions.c.model_uid == models.c.uid, versions.c.delete_us.is_(None))
_PRODUCTION = (
    sa.select(versions.c.name)
    .where(_OWN_VERSIONS, versions.c.stage == Stage.PRODUCTION)
    .correlate(models)
    .scalar_subquery()
)
_HIGHEST = (
    sa.select(versions.c.name)
    .where(_OWN_VERSIONS)
    .order_by(versions.c.sort_key.desc())
    .limit(1)
    .correlate(models)
    .scalar_subquery()
)
_PROTECTED = (
    sa.select(sa.func.aggregate_strings(protected_aliases.c.alias, ","))
    .where(protected_aliases.c.model_uid == models.c.uid)
    .correlate(models)
    .scalar_subquery()
)
_MODELS = (
    sa.select(
        models,
        actors.c.principal_json,
        _PRODUCTION.label("production_version"),
        _HIGHEST.label("highest_version"),
        _PROTECTED.label("protected_aliases"),
    )
    .join_from(models, actors, actors.c.position == models.c.create_position)
    .where(models.c.delete_us.is_(None))
)
# Made once: making a statement takes longer than running it.
_BY_NAME = _MODELS.where(models.c.name == sa.bindparam("name"))
_UID = sa.select(models.c.uid).where(
    models.c.name == sa.bindparam("name"), models.c.delete_us.is_(None)
)
# Made once: making a statement takes longer than running it.
_HOLD = (
    sa.select(models.c.uid)
    .where(models.c.name == sa.bindparam("of_name"), models.c.delete_us.is_(None))
    .with_for_update()
)


class ModelStore:
    """Reads and writes models."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._tags = TagRows(connection, model_tags, model_tags.c.model_uid)

    def find(self, name: str) -> Model | None:
        """The model of a name."""
        rows = self._connection.execute(_BY_NAME, {"name": name}).all()
        return next(iter(self._records(rows)), None)

    def uid(self, name: str) -> str | None:
        """The uid of the model of a name."""
        return self._connection.execute(_UID, {"name": name}).scalar_one_or_none()

    def hold(self, name: str) -> None:
        """Let nobody else change the model of a name, or its versions, in this transaction."""
        self._connection.execute(_HOLD, {"of_name": name})

    def lock(self, name: str) -> Model | None:
        """The model of a name, held."""
        self.hold(name)
        return self.find(name)

    def has_versions(self, model: Model) -> bool:
        """Whether the model has versions that are not deleted."""
        own = sa.select(versions.c.uid).where(
            versions.c.model_uid == model.uid, versions.c.delete_us.is_(None)
        )
        return self._connection.execute(own.limit(1)).first() is not None

    def insert(self, model: Model) -> None:
        """Add a model."""
        self._connection.execute(
            models.insert().values(
                uid=model.uid,
                workspace=model.workspace,
                name=model.name,
                description=model.description,
                create_position=model.change_position,
                create_us=model.create_us,
                update_us=model.update_us,
                change_position=model.change_position,
            )
        )
        self._tags.replace(model.uid, model.tags)
        self._protect(model)

    def save(self, model: Model) -> None:
        """Write what of a model can change."""
        self._connection.execute(
            models.update()
            .where(models.c.uid == model.uid)
            .values(
                description=model.description,
                update_us=model.update_us,
                change_position=model.change_position,
            )
        )
        self._tags.replace(model.uid, model.tags)
        self._protect(model)

    def _protect(self, model: Model) -> None:
        self._connection.execute(
            protected_aliases.delete().where(protected_aliases.c.model_uid == model.uid)
        )
        if model.protected_aliases:
            self._connection.execute(
                protected_aliases.insert(),
                [{"model_uid": model.uid, "alias": alias} for alias in model.protected_aliases],
            )

    def mark_deleted(self, model: Model, delete_us: int) -> None:
        """Let a model disappear; its name can be given again."""
        self._connection.execute(
            models.update().where(models.c.uid == model.uid).values(delete_us=delete_us)
        )

    def page(
        self, workspace: str, page: PageRequest, visible: Callable[[str], bool]
    ) -> tuple[list[Model], str]:
        """One page of the models of a workspace whose names are visible."""
        rows, token = list_page(
            self._connection,
            _MODELS.where(models.c.workspace == workspace),
            page,
            FIELDS,
            models.c.uid,
            lambda row: visible(row.name),
        )
        return self._records(rows), token

    def _records(self, rows: Sequence[sa.Row[Any]]) -> list[Model]:
        tags = self._tags.of([row.uid for row in rows]) if rows else {}
        return [
            Model(
                uid=row.uid,
                workspace=row.workspace,
                name=row.name,
                description=row.description,
                tags=tags.get(row.uid, {}),
                production_version=row.production_version or "",
                highest_version=row.highest_version or "",
                creator=read_actor(row.principal_json),
                create_us=row.create_us,
                update_us=row.update_us,
                change_position=row.change_position,
                protected_aliases=_split(row.protected_aliases),
            )
            for row in rows
        ]


def _split(aliases: str | None) -> tuple[str, ...]:
    return tuple(sorted(aliases.split(","))) if aliases else ()
