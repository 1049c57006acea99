"""Queries on experiments."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.listing import list_page
from service_chassis.resource_names import EXPERIMENT
from tracking_service.records import Experiment
from tracking_service.store.inserts import insert_new
from tracking_service.store.listed_fields import EXPERIMENT_FIELDS
from tracking_service.tables import experiment_tags, experiments, runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from service_chassis.listing import PageRequest


# Made once: making and naming a statement takes longer than running it.
_KEY_OF_NAME = sa.select(experiments.c.id).where(
    experiments.c.workspace == sa.bindparam("workspace"),
    experiments.c.experiment == sa.bindparam("experiment"),
)
_KEY_FOR_NEW_RUN = _KEY_OF_NAME.with_for_update(read=True, key_share=True)


class ExperimentStore:
    """Experiments within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def find(self, name: str) -> Experiment | None:
        """The experiment of this name."""
        return self._find(self._named(name))

    def key(self, name: str) -> int | None:
        """The database key of the experiment of this name."""
        return self._key(_KEY_OF_NAME, name)

    def find_for_change(self, name: str) -> Experiment | None:
        """The experiment of this name, locked: nobody else changes it or adds a run to it."""
        return self._find(self._named(name).with_for_update())

    def key_for_new_run(self, name: str) -> int | None:
        """The database key of the experiment, which is locked: it cannot be deleted meanwhile."""
        return self._key(_KEY_FOR_NEW_RUN, name)

    def add(self, experiment: Experiment) -> Experiment | None:
        """Store a new experiment; None when its name is taken. Its `key` is filled in."""
        ids = EXPERIMENT.parse(experiment.name)
        key = insert_new(
            self._connection,
            experiments,
            {
                "uid": experiment.uid,
                "workspace": ids["workspace"],
                "experiment": ids["experiment"],
                "description": experiment.description,
                "create_time": experiment.create_us,
                "update_time": experiment.update_us,
                "revision": experiment.revision,
            },
        )
        if key is None:
            return None
        self._add_tags(key, experiment.tags)
        return self.find(experiment.name)

    def save(self, experiment: Experiment) -> None:
        """Store the changed description and tags of an experiment that is locked."""
        self._connection.execute(
            experiments.update()
            .where(experiments.c.id == experiment.key)
            .values(
                description=experiment.description,
                update_time=experiment.update_us,
                revision=experiment.revision,
            )
        )
        self._remove_tags(experiment.key)
        self._add_tags(experiment.key, experiment.tags)

    def has_runs(self, key: int) -> bool:
        """Whether the experiment has runs, deleted ones included."""
        statement = sa.select(runs.c.id).where(runs.c.experiment == key).limit(1)
        return self._connection.execute(statement).first() is not None

    def remove(self, key: int) -> None:
        """Delete an experiment that has no runs."""
        self._remove_tags(key)
        self._connection.execute(experiments.delete().where(experiments.c.id == key))

    def page(
        self, workspace: str, page: PageRequest, visible: Callable[[str], bool]
    ) -> tuple[list[Experiment], str]:
        """One page of a workspace's experiments whose names are visible, and the next token."""
        rows, token = list_page(
            self._connection,
            sa.select(experiments).where(experiments.c.workspace == workspace),
            page,
            EXPERIMENT_FIELDS,
            experiments.c.id,
            lambda row: visible(_name(row)),
        )
        return self._with_tags(rows), token

    @staticmethod
    def _named(name: str) -> sa.Select[Any]:
        ids = EXPERIMENT.parse(name)
        return sa.select(experiments).where(
            experiments.c.workspace == ids["workspace"],
            experiments.c.experiment == ids["experiment"],
        )

    def _key(self, statement: sa.Select[int], name: str) -> int | None:
        return self._connection.execute(statement, EXPERIMENT.parse(name)).scalar_one_or_none()

    def _find(self, statement: sa.Select[Any]) -> Experiment | None:
        rows = self._connection.execute(statement).all()
        return next(iter(self._with_tags(rows)), None)

    def _with_tags(self, rows: Iterable[sa.Row[Any]]) -> list[Experiment]:
        found = list(rows)
        tags: dict[int, dict[str, str]] = {row.id: {} for row in found}
        statement = sa.select(experiment_tags).where(experiment_tags.c.experiment.in_(tags))
        for tag in self._connection.execute(statement):
            tags[tag.experiment][tag.key] = tag.value
        return [_record(row, tags[row.id]) for row in found]

    def _add_tags(self, key: int, tags: Mapping[str, str]) -> None:
        if tags:
            rows = [{"experiment": key, "key": tag, "value": tags[tag]} for tag in tags]
            self._connection.execute(experiment_tags.insert(), rows)

    def _remove_tags(self, key: int) -> None:
        self._connection.execute(
            experiment_tags.delete().where(experiment_tags.c.experiment == key)
        )


def _name(row: sa.Row[Any]) -> str:
    return EXPERIMENT.format(workspace=row.workspace, experiment=row.experiment)


def _record(row: sa.Row[Any], tags: Mapping[str, str]) -> Experiment:
    return Experiment(
        key=row.id,
        uid=row.uid,
        name=_name(row),
        description=row.description,
        tags=tags,
        create_us=row.create_time,
        update_us=row.update_time,
        revision=row.revision,
    )
