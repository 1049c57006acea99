"""What the list of runs can be filtered and sorted by; see docs/finding-runs.md."""

from __future__ import annotations

import functools
import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.field_table import Field, FieldTable, Kind, Lookup
from tracking_service.records import RunState
from tracking_service.store.listed_fields import joined_text
from tracking_service.tables import (
    TEXT_START,
    dataset_inputs,
    datasets,
    experiments,
    metric_series,
    metric_writers,
    params,
    runs,
    tags,
    text_start,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_DOUBLE = 3
# Columns of summaries, what they hold, and whether an index gives their order.
_SUMMARY_COLUMNS = {
    "first": ("first", Kind.NUMBER, False),
    "last": ("last", Kind.NUMBER, True),
    "min": ("min", Kind.NUMBER, True),
    "max": ("max", Kind.NUMBER, True),
    "mean": ("mean", Kind.NUMBER, False),
    "count": ("points", Kind.INTEGER, False),
    "last_step": ("last_step", Kind.INTEGER, False),
    "min_step": ("min_step", Kind.INTEGER, False),
    "max_step": ("max_step", Kind.INTEGER, False),
}
_STEP_OF = {"min_step": "min", "max_step": "max"}
_DATASET_PROPERTIES = ("name", "version", "digest")
# The latest of the calls on the run itself and of its writers.
_heard_writer = (
    sa.select(
        sa.func.max(
            sa.case(
                (metric_writers.c.heard_time > runs.c.heard_time, metric_writers.c.heard_time),
                else_=runs.c.heard_time,
            )
        )
    )
    .where(metric_writers.c.run == runs.c.id)
    .correlate(runs)
    .scalar_subquery()
)

_RUN_FIELDS = {
    "name": Field(
        joined_text(
            "workspaces/",
            runs.c.workspace,
            "/experiments/",
            experiments.c.experiment,
            "/runs/",
            runs.c.run,
        ),
        Kind.TEXT,
    ),
    "display_name": Field(runs.c.display_name, Kind.TEXT),
    "state": Field(
        runs.c.state,
        Kind.ENUM,
        values={
            "RUN_STATE_UNSPECIFIED": 0,
            **{f"RUN_STATE_{state.name}": int(state) for state in RunState},
        },
    ),
    "creator": Field(runs.c.creator_id, Kind.TEXT),
    "start_time": Field(runs.c.start_time, Kind.TIMESTAMP),
    "end_time": Field(runs.c.end_time, Kind.TIMESTAMP),
    "create_time": Field(runs.c.create_time, Kind.TIMESTAMP),
    "update_time": Field(runs.c.update_time, Kind.TIMESTAMP),
    "heartbeat_time": Field(
        sa.func.coalesce(_heard_writer, runs.c.heard_time, type_=sa.BigInteger()), Kind.TIMESTAMP
    ),
    "exit_code": Field(runs.c.exit_code, Kind.INTEGER),
    "code.commit": Field(runs.c.code_commit, Kind.TEXT),
    "code.branch": Field(runs.c.code_branch, Kind.TEXT),
    "code.repository": Field(runs.c.code_repository, Kind.TEXT),
    "code.dirty": Field(runs.c.code_dirty, Kind.BOOLEAN),
    "code.entry_point": Field(runs.c.code_entry_point, Kind.TEXT),
    "environment.python_version": Field(runs.c.python_version, Kind.TEXT),
    "environment.platform": Field(runs.c.platform, Kind.TEXT),
    "environment.hostname": Field(runs.c.hostname, Kind.TEXT),
}
_FORMS = (
    "params.{key}",
    "tags.{key}",
    "metrics.{key}",
    "metrics.{key}.{" + "|".join(_SUMMARY_COLUMNS) + "}",
    "datasets.{" + "|".join(_DATASET_PROPERTIES) + "}",
    "datasets.{role}.{" + "|".join(_DATASET_PROPERTIES) + "}",
)


def run_fields(workspace: str, experiment: int | None) -> FieldTable:
    """The fields of runs of a workspace, of one experiment or of all."""
    return FieldTable(
        _RUN_FIELDS,
        _Entries(workspace, experiment).find,
        forms=_FORMS,
        anywhere=_ANYWHERE,
    )


def _any_of(table: sa.Table, column: str) -> Field:
    """The texts of a map, whatever their keys."""
    rows = table.alias()
    lookup = Lookup(rows.c[column], rows, rows.c.run, runs.c.id, sa.true())
    return Field(None, Kind.TEXT, lookup=lookup)


_ANYWHERE = (
    *(_RUN_FIELDS[name] for name in ("name", "display_name")),
    Field(runs.c.description, Kind.TEXT),
    _any_of(params, "text_value"),
    _any_of(tags, "value"),
)


@functools.lru_cache(maxsize=256)
def _alias(table: sa.Table, number: int) -> sa.FromClause:
    """One name of several for a table; making one takes longer than looking for a run by it."""
    return table.alias()


@dataclass(frozen=True)
class _Entries:
    """Fields whose values are rows of tables of their own, one or several for a run."""

    workspace: str
    experiment: int | None
    # Each field has names of its own for the tables that it is found in.
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def find(self, path: tuple[str, ...]) -> Field | None:
        """The field at a path; None when there can be none."""
        finders: dict[str, Callable[[tuple[str, ...]], Field | None]] = {
            "params": self._param,
            "tags": self._tag,
            "metrics": self._metric,
            "datasets": self._dataset,
        }
        return finders[path[0]](path[1:]) if len(path) > 1 and path[0] in finders else None

    def _param(self, path: tuple[str, ...]) -> Field:
        rows = self._named(params)
        # NaN has no order and equals nothing.
        is_nan = sa.and_(rows.c.kind == _DOUBLE, rows.c.number_value.is_(None))
        text = sa.case((is_nan, sa.null()), else_=rows.c.text_value)
        text.type = rows.c.text_value.type
        return self._by_key(
            rows,
            ".".join(path),
            Kind.VALUE,
            text,
            number=rows.c.number_value,
            # Truth values are kept there, too, and have no number.
            integer=sa.case((rows.c.number_value.is_(None), sa.null()), else_=rows.c.int_value),
            ordered=True,
            equal_text=_equal_text(rows.c.text_value),
            number_index="ix_params_experiment_key_number_value_run",
            text_index="ix_params_experiment_key_text_start",
        )

    def _tag(self, path: tuple[str, ...]) -> Field:
        rows = self._named(tags)
        value = rows.c.value
        return self._by_key(
            rows,
            ".".join(path),
            Kind.TEXT,
            value,
            equal_text=_equal_text(value),
            text_index="ix_tags_experiment_key_text_start",
        )

    def _metric(self, path: tuple[str, ...]) -> Field:
        # A key may hold dots, also one that is called like a figure: metrics.min is the last value
        # of the metric "min", and metrics."a.min" that of "a.min".
        rows = self._named(metric_series)
        if len(path) > 1 and path[-1] in _SUMMARY_COLUMNS:
            name, kind, ordered = _SUMMARY_COLUMNS[path[-1]]
            column: sa.ColumnElement[Any] = rows.c[name]
            if name in _STEP_OF:
                # Where all values are NaN none has a step.
                column = sa.case((rows.c[_STEP_OF[name]].is_not(None), column))
            return self._by_key(rows, ".".join(path[:-1]), kind, column, ordered=ordered)
        return self._by_key(
            rows, ".".join(path), Kind.NUMBER, rows.c.last, ordered=True, present=sa.true()
        )

    def _dataset(self, path: tuple[str, ...]) -> Field | None:
        *role, name = path
        used, data = self._named(dataset_inputs), self._named(datasets)
        rows: sa.ColumnElement[bool] = sa.true()
        if name not in _DATASET_PROPERTIES:
            # `datasets:training`, whether there is one of this role.
            role, name = list(path), "name"
        if role:
            rows = used.c.role == ".".join(role)
        source: sa.FromClause = used.join(data, data.c.id == used.c.dataset)
        if self.experiment is not None:
            owner = self._named(runs)
            source = source.join(owner, owner.c.id == used.c.run)
            rows = sa.and_(rows, owner.c.experiment == self.experiment)
        column = {
            "name": data.c.dataset,
            "version": data.c.version,
            "digest": data.c.digest,
        }[name]
        rows = sa.and_(rows, data.c.workspace == self.workspace)
        lookup = Lookup(column, source, used.c.run, runs.c.id, rows, scoped=True, indexed=True)
        return Field(None, Kind.TEXT, lookup=lookup, qualified=_dataset_column(name, data))

    def _named(self, table: sa.Table) -> sa.FromClause:
        return _alias(table, next(self._numbers))

    def _by_key(
        self,
        rows: sa.FromClause,
        key: str,
        kind: Kind,
        column: sa.ColumnElement[Any],
        *,
        number: sa.ColumnElement[Any] | None = None,
        integer: sa.ColumnElement[Any] | None = None,
        ordered: bool = False,
        equal_text: Callable[[str], sa.ColumnElement[bool]] | None = None,
        present: sa.ColumnElement[bool] | None = None,
        number_index: str | None = None,
        text_index: str | None = None,
    ) -> Field:
        # Together with the key, the experiment lets one index answer.
        if self.experiment is None:
            of_workspace = sa.select(experiments.c.id).where(
                experiments.c.workspace == self.workspace
            )
            scope: sa.ColumnElement[bool] = rows.c.experiment.in_(of_workspace.correlate(None))
        else:
            scope = rows.c.experiment == self.experiment
        lookup = Lookup(
            column,
            rows,
            rows.c.run,
            runs.c.id,
            sa.and_(scope, rows.c.key == key),
            number=number,
            integer=integer,
            scoped=True,
            indexed=ordered,
            ordered=ordered and self.experiment is not None,
            equal_text=equal_text,
            number_index=None if self.experiment is None else number_index,
            text_index=None if self.experiment is None else text_index,
        )
        return Field(
            _of_run(rows, key, column),
            kind,
            number=None if number is None else _of_run(rows, key, number),
            integer=None if integer is None else _of_run(rows, key, integer),
            lookup=lookup,
            present=sa.true() if kind is Kind.VALUE else present,
        )


def _of_run(rows: sa.FromClause, key: str, column: sa.ColumnElement[Any]) -> sa.ScalarSelect[Any]:
    return (
        sa.select(column)
        .select_from(rows)
        .where(rows.c.run == runs.c.id, rows.c.key == key)
        .correlate(runs)
        .scalar_subquery()
    )


def _equal_text(text: sa.ColumnElement[Any]) -> Callable[[str], sa.ColumnElement[bool]]:
    def equal(sought: str) -> sa.ColumnElement[bool]:
        starts = text_start(text) == text_start(sa.literal(sought, sa.Text()))
        if len(sought) < TEXT_START:
            # A longer text would start with more.
            return starts
        return sa.and_(starts, text == sa.literal(sought, sa.Text()))

    return equal


def _dataset_column(
    name: str, data: sa.FromClause
) -> Callable[[str], sa.ColumnElement[Any] | None]:
    """Digests are written with their algorithm; names may be written as whole resource names."""

    def choose(value: str) -> sa.ColumnElement[Any] | None:
        if name == "digest":
            return joined_text("sha256:", data.c.digest)
        if name == "version" or not value.startswith("workspaces/"):
            return None
        whole = ("workspaces/", data.c.workspace, "/datasets/", data.c.dataset)
        if "/versions/" in value:
            return joined_text(*whole, "/versions/", data.c.version)
        return joined_text(*whole)

    return choose
