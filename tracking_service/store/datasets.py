"""Queries on dataset versions."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.listing import list_page
from service_chassis.resource_names import ANY, DATASET, DATASET_VERSION, RUN
from tracking_service.dataset_records import (
    Column,
    Dataset,
    DatasetContent,
    DatasetReference,
    DatasetUse,
)
from tracking_service.records import HoldLevel
from tracking_service.store.inserts import insert_absent, insert_new
from tracking_service.store.listed_fields import DATASET_FIELDS, DATASET_USE_FIELDS
from tracking_service.store.principals import principal_document, principal_record
from tracking_service.tables import (
    dataset_inputs,
    dataset_profiles,
    datasets,
    experiments,
    holds,
    runs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from service_chassis.listing import PageRequest


class DatasetStore:
    """Dataset versions within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def find(self, name: str) -> Dataset | None:
        """The dataset version of this name, without profiles."""
        ids = DATASET_VERSION.parse(name)
        return self._find(
            datasets.c.workspace == ids["workspace"],
            datasets.c.dataset == ids["dataset"],
            datasets.c.version == ids["version"],
        )

    def find_by_digest(self, parent: str, digest: str) -> Dataset | None:
        """The version of a dataset that has this digest, without profiles."""
        ids = DATASET.parse(parent)
        return self._find(
            datasets.c.workspace == ids["workspace"],
            datasets.c.dataset == ids["dataset"],
            datasets.c.digest == digest,
        )

    def add(self, dataset: Dataset) -> bool:
        """Store a new dataset version; False when its name or its digest is there already."""
        ids = DATASET_VERSION.parse(dataset.name)
        content = asdict(dataset.content)
        profiles = content.pop("profiles")
        key = insert_new(
            self._connection,
            datasets,
            {
                **ids,
                **content,
                "columns": list(content["columns"]),
                "uid": dataset.uid,
                "create_time": dataset.create_us,
                "creator": principal_document(dataset.creator),
            },
        )
        if key is not None:
            self.add_profiles(key, profiles)
        return key is not None

    def add_profiles(self, key: int, profiles: Mapping[int, bytes]) -> None:
        """Store the profiles of columns, by position; those that are there stay."""
        if profiles:
            self._connection.execute(
                insert_absent(self._connection, dataset_profiles),
                [
                    {"dataset": key, "position": position, "profile": profile}
                    for position, profile in profiles.items()
                ],
            )

    def with_profiles(self, dataset: Dataset) -> Dataset:
        """The dataset version with the profiles of its columns."""
        statement = sa.select(dataset_profiles.c.position, dataset_profiles.c.profile).where(
            dataset_profiles.c.dataset == dataset.key
        )
        profiles = {row.position: row.profile for row in self._connection.execute(statement)}
        return replace(dataset, content=replace(dataset.content, profiles=profiles))

    def page(
        self, parent: str, page: PageRequest, visible: Callable[[str], bool]
    ) -> tuple[list[Dataset], str]:
        """One page of the versions of a dataset, or of all of a workspace; without profiles."""
        ids = DATASET.parse(parent, any_of={"dataset"})
        statement = sa.select(datasets).where(datasets.c.workspace == ids["workspace"])
        if ids["dataset"] != ANY:
            statement = statement.where(datasets.c.dataset == ids["dataset"])
        rows, token = list_page(
            self._connection,
            statement,
            page,
            DATASET_FIELDS,
            datasets.c.id,
            lambda row: visible(_name(row)),
        )
        return [_record(row) for row in rows], token

    def uses(
        self, key: int, page: PageRequest, visible: Callable[[str], bool]
    ) -> tuple[list[DatasetUse], str]:
        """One page of the runs that used a dataset version; deleted runs are left out."""
        statement = (
            sa.select(
                dataset_inputs.c.role,
                runs.c.uid,
                runs.c.run,
                runs.c.workspace,
                runs.c.create_time,
                experiments.c.experiment.label("experiment_id"),
            )
            .join(runs, runs.c.id == dataset_inputs.c.run)
            .join(experiments, experiments.c.id == runs.c.experiment)
            .where(dataset_inputs.c.dataset == key, runs.c.delete_time.is_(None))
        )
        rows, token = list_page(
            self._connection,
            statement,
            page,
            DATASET_USE_FIELDS,
            # One run may use a dataset in several roles.
            runs.c.uid + " " + dataset_inputs.c.role,
            lambda row: visible(_user(row)),
        )
        return [DatasetUse(run=_user(row), role=row.role) for row in rows], token

    def of_run(self, run: int) -> list[Dataset]:
        """The datasets that went into a run, by name, each once; without profiles."""
        statement = (
            sa.select(datasets)
            .where(
                datasets.c.id.in_(
                    sa.select(dataset_inputs.c.dataset).where(dataset_inputs.c.run == run)
                )
            )
            .order_by(datasets.c.workspace, datasets.c.dataset, datasets.c.version)
        )
        return [_record(row) for row in self._connection.execute(statement)]

    def holder(self, key: int) -> str | None:
        """A model version because of which the dataset record must stay, if there is one."""
        statement = (
            sa.select(holds.c.holder)
            .join(dataset_inputs, dataset_inputs.c.run == holds.c.run)
            .where(dataset_inputs.c.dataset == key, holds.c.level >= HoldLevel.RUN)
            .limit(1)
        )
        holder: str | None = self._connection.execute(statement).scalar_one_or_none()
        return holder

    def _find(self, *conditions: sa.ColumnElement[bool]) -> Dataset | None:
        row = self._connection.execute(sa.select(datasets).where(*conditions)).one_or_none()
        return None if row is None else _record(row)


def _name(row: sa.Row[Any]) -> str:
    return DATASET_VERSION.format(workspace=row.workspace, dataset=row.dataset, version=row.version)


def _user(row: sa.Row[Any]) -> str:
    return RUN.format(workspace=row.workspace, experiment=row.experiment_id, run=row.run)


def _record(row: sa.Row[Any]) -> Dataset:
    return Dataset(
        key=row.id,
        uid=row.uid,
        name=_name(row),
        content=DatasetContent(
            digest=row.digest,
            format=row.format,
            source=row.source,
            columns=tuple(Column(**column) for column in row.columns),
            row_count=row.row_count,
            size_bytes=row.size_bytes,
            reference=None if row.reference is None else DatasetReference(**row.reference),
        ),
        create_us=row.create_time,
        creator=principal_record(row.creator),
    )
