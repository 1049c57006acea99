"""Queries on runs themselves; what was logged into them is read through `run_contents`."""

from __future__ import annotations

import functools
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.errors import invalid_field
from service_chassis.listing import PagePlan, planned_page
from service_chassis.resource_names import RUN
from tracking_service.records import Code, CondaEnvironment, Environment, Run, RunPlace, RunState
from tracking_service.run_view import EVERYTHING, WITHOUT_METRICS
from tracking_service.store.inserts import insert_new
from tracking_service.store.principals import principal_document, principal_record
from tracking_service.store.run_contents import MOST_METRICS, MOST_PARAM_BYTES, RunContents
from tracking_service.store.run_fields import run_fields
from tracking_service.tables import experiments, run_packages, runs

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from service_chassis.filter_grammar import Filter
    from service_chassis.listing import PageRequest
    from service_chassis.order_by import OrderTerm
    from tracking_service.run_view import RunView
    from tracking_service.store.run_contents import Held

# All but what repeats parts of the documents to be searched by.
_RUN_ROWS = sa.select(
    runs.c.id,
    runs.c.uid,
    runs.c.experiment,
    runs.c.workspace,
    runs.c.run,
    runs.c.display_name,
    runs.c.description,
    runs.c.state,
    runs.c.state_reason,
    runs.c.creator,
    runs.c.start_time,
    runs.c.end_time,
    runs.c.create_time,
    runs.c.update_time,
    runs.c.delete_time,
    runs.c.heard_time,
    runs.c.revision,
    runs.c.environment,
    runs.c.code,
    runs.c.exit_code,
    runs.c.signal,
    runs.c.param_bytes,
    experiments.c.experiment.label("experiment_id"),
).join(experiments, experiments.c.id == runs.c.experiment)

_RUN_COLUMNS = len(_RUN_ROWS.selected_columns)


# Made once: making and naming a statement takes longer than running it.
_OF_NAME = _RUN_ROWS.where(
    experiments.c.workspace == sa.bindparam("workspace_id"),
    experiments.c.experiment == sa.bindparam("experiment_id"),
    runs.c.run == sa.bindparam("run_id"),
)
_OF_NAME_FOR_CHANGE = _OF_NAME.with_for_update(of=runs, key_share=True)
_PLACE = (
    runs.c.id,
    runs.c.experiment,
    runs.c.uid,
    runs.c.state,
    runs.c.delete_time,
    runs.c.workspace,
)
_CHANGEABLE = (
    "display_name",
    "description",
    "state",
    "state_reason",
    "start_time",
    "end_time",
    "exit_code",
    "signal",
    "update_time",
    "delete_time",
    "heard_time",
    "revision",
)
_SAVE = (
    runs.update()
    .where(runs.c.id == sa.bindparam("run_key"))
    .values({name: sa.bindparam(f"new_{name}") for name in _CHANGEABLE})
)
_PLACE_OF_NAME = _OF_NAME.with_only_columns(*_PLACE)
_PLACE_OF_NAME_FOR_CHANGE = _OF_NAME_FOR_CHANGE.with_only_columns(*_PLACE)


class RunStore:
    """Runs within one transaction.

    Locks on a run let metrics be appended meanwhile; everything else that is logged waits.
    """

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._contents = RunContents(connection)

    def find(self, name: str, view: RunView = EVERYTHING) -> Run | None:
        """The run of this name with what is wanted of it, deleted or not."""
        return self._find(_OF_NAME, name, view)

    def find_all(self, names: Collection[str], view: RunView = EVERYTHING) -> list[Run]:
        """Those of the named runs that there are, with what is wanted of them, deleted or not.

        In as many queries as their experiments are, and a handful.

        Raises:
            StudbookError: FIELD_INVALID, when they hold too much of it to be read at once.
        """
        wanted: dict[tuple[str, str], list[str]] = {}
        for name in names:
            ids = RUN.parse(name)
            wanted.setdefault((ids["workspace"], ids["experiment"]), []).append(ids["run"])
        rows: list[sa.Row[Any]] = []
        for (workspace, experiment), run_ids in wanted.items():
            statement = _RUN_ROWS.where(
                experiments.c.workspace == workspace,
                experiments.c.experiment == experiment,
                runs.c.run.in_(run_ids),
            )
            rows += self._connection.execute(statement)
        if self._contents.readable(rows, view) < len(rows):
            remedy = (
                f"they have more than {MOST_METRICS} metrics, or parameters of more than "
                f"{MOST_PARAM_BYTES} bytes; name fewer runs, or what is wanted in read_mask"
            )
            raise invalid_field("runs", f"{len(rows)} runs", remedy)
        return self._with_packages(self._records(rows, view))

    def find_for_change(self, name: str) -> Run | None:
        """The run of this name with all that was logged, locked."""
        return self._find(_OF_NAME_FOR_CHANGE, name)

    def find_for_records(self, name: str) -> Run | None:
        """The run of this name with all that was logged but metrics, locked."""
        return self._find(_OF_NAME_FOR_CHANGE, name, WITHOUT_METRICS)

    def place(self, name: str) -> RunPlace | None:
        """Where the records of the run of this name go."""
        return self._place(_PLACE_OF_NAME, name)

    def place_for_change(self, name: str) -> RunPlace | None:
        """Where the records of the run of this name go; the run is locked."""
        return self._place(_PLACE_OF_NAME_FOR_CHANGE, name)

    def add(self, run: Run) -> Run | None:
        """Store a new run with its tags; None when its name is taken. Its `key` is filled in."""
        ids = RUN.parse(run.name)
        values = {
            **_changeable(run),
            "uid": run.uid,
            "experiment": run.experiment_key,
            "workspace": ids["workspace"],
            "run": ids["run"],
            "creator_id": run.creator.id,
            "creator": principal_document(run.creator),
            "create_time": run.create_us,
        }
        key = insert_new(self._connection, runs, values)
        if key is None:
            return None
        stored = replace(run, key=key)
        self._contents.add_tags(stored, run.tags)
        return stored

    def save(self, run: Run) -> None:
        """Store the names, state and times of a run that is locked."""
        columns = {f"new_{name}": value for name, value in _changeable(run).items()}
        self._connection.execute(_SAVE, {"run_key": run.key, **columns})

    def set_environment(self, run: Run, environment: Environment) -> None:
        """Record where a run ran, in place of what was recorded before."""
        document = asdict(environment)
        packages = {
            "packages": dict(document.pop("packages")),
            "conda_packages": document["conda"] and document["conda"].pop("packages"),
        }
        searched = {
            name: document[name] or None for name in ("python_version", "platform", "hostname")
        }
        self._connection.execute(
            runs.update().where(runs.c.id == run.key).values(environment=document, **searched)
        )
        self._connection.execute(run_packages.delete().where(run_packages.c.run == run.key))
        self._connection.execute(run_packages.insert().values(run=run.key, **packages))

    def set_code(self, run: Run, code: Code) -> None:
        """Record which code ran, in place of what was recorded before."""
        self._connection.execute(
            runs.update()
            .where(runs.c.id == run.key)
            .values(
                code=asdict(code),
                code_commit=code.commit or None,
                code_branch=code.branch or None,
                code_repository=code.repository or None,
                code_dirty=code.dirty,
                code_entry_point=code.entry_point or None,
            )
        )

    def page(
        self,
        workspace: str,
        experiment: int | None,
        page: PageRequest,
        visible: Callable[[str], bool],
        view: RunView,
        *,
        show_deleted: bool,
    ) -> tuple[list[Run], str]:
        """One page of the runs of a workspace, or of one experiment of it, by its key.

        Runs that hold very much make it shorter than was asked for.
        Packages and the names of untracked files are left out: they are many and rarely read; so
        is what the view does not want.
        """
        plan = _plan(
            workspace,
            experiment,
            page.filter,
            page.order,
            page.order_by,
            show_deleted=show_deleted,
        )

        def listed(page: PageRequest) -> tuple[list[sa.Row[Any]], str]:
            return planned_page(self._connection, plan, page, lambda row: visible(_name(row)))

        rows, token = listed(page)
        readable = self._contents.readable(rows, view)
        if readable < len(rows):
            rows, token = listed(replace(page, size=readable))
        return [_without_untracked(run) for run in self._records(rows, view)], token

    def _find(self, statement: sa.Select[Any], name: str, view: RunView = EVERYTHING) -> Run | None:
        row = self._connection.execute(statement, _ids(name)).one_or_none()
        if row is None:
            return None
        return self._with_packages(self._records([row], view))[0]

    def _with_packages(self, found: Sequence[Run]) -> list[Run]:
        keys = [run.key for run in found if run.environment is not None]
        statement = sa.select(run_packages).where(run_packages.c.run.in_(keys))
        installed = {row.run: row for row in self._connection.execute(statement)} if keys else {}
        return [
            run
            if run.environment is None
            else _with_installed(run, run.environment, installed[run.key])
            for run in found
        ]

    def _place(self, statement: sa.Select[Any], name: str) -> RunPlace | None:
        row = self._connection.execute(statement, _ids(name)).one_or_none()
        if row is None:
            return None
        return RunPlace(
            key=row.id,
            experiment_key=row.experiment,
            uid=row.uid,
            name=name,
            workspace=row.workspace,
            state=RunState(row.state),
            delete_us=row.delete_time,
        )

    def _records(self, rows: Sequence[sa.Row[Any]], view: RunView = EVERYTHING) -> list[Run]:
        if not rows:
            return []
        held = self._contents.of([row.id for row in rows], view)
        return [_record(row, held, view) for row in rows]


@functools.lru_cache(maxsize=128)
def _plan(
    workspace: str,
    experiment: int | None,
    filter_: Filter | None,
    order: tuple[OrderTerm, ...],
    order_by: str,
    *,
    show_deleted: bool,
) -> PagePlan:
    """How to find the pages of a list of runs; lists are turned over, and looked at again."""
    within = runs.c.workspace == workspace
    if experiment is not None:
        within = runs.c.experiment == experiment
    statement = _RUN_ROWS
    if not show_deleted:
        statement = statement.where(runs.c.delete_time.is_(None))
    fields = run_fields(workspace, experiment)
    return PagePlan(statement, filter_, order, order_by, fields, runs.c.id, within)


def _with_installed(run: Run, environment: Environment, installed: sa.Row[Any]) -> Run:
    conda = environment.conda and replace(environment.conda, packages=installed.conda_packages)
    return replace(run, environment=replace(environment, packages=installed.packages, conda=conda))


def _without_untracked(run: Run) -> Run:
    if run.code is None or not run.code.untracked_files:
        return run
    return replace(run, code=replace(run.code, untracked_files=()))


def _ids(name: str) -> dict[str, str]:
    return {f"{part}_id": value for part, value in RUN.parse(name).items()}


def _name(row: sa.Row[Any]) -> str:
    return RUN.format(workspace=row.workspace, experiment=row.experiment_id, run=row.run)


def _changeable(run: Run) -> dict[str, Any]:
    return {
        "display_name": run.display_name,
        "description": run.description,
        "state": int(run.state),
        "state_reason": run.state_reason,
        "start_time": run.start_us,
        "end_time": run.end_us,
        "exit_code": run.exit_code,
        "signal": run.signal or None,
        "update_time": run.update_us,
        "delete_time": run.delete_us,
        "heard_time": run.heartbeat_us,
        "revision": run.revision,
    }


def _record(row: sa.Row[Any], held: Held, view: RunView) -> Run:
    # By place: by name it would take several times as long.
    (
        key, uid, experiment, workspace, run, display_name, description, state, state_reason,
        creator, start_us, end_us, create_us, update_us, delete_us, heard_us, revision,
        environment, code, exit_code, signal, _param_bytes, experiment_id,
    ) = row[:_RUN_COLUMNS]  # fmt: skip
    return Run(
        key=key,
        experiment_key=experiment,
        uid=uid,
        name=RUN.format(workspace=workspace, experiment=experiment_id, run=run),
        workspace=workspace,
        display_name=display_name,
        description=description,
        state=RunState(state),
        state_reason=state_reason,
        creator=principal_record(creator),
        start_us=start_us,
        end_us=end_us,
        create_us=create_us,
        update_us=update_us,
        delete_us=delete_us,
        heartbeat_us=max(heard_us, held.heard_us.get(key, 0)),
        revision=revision,
        exit_code=exit_code,
        signal=signal or "",
        environment=_environment(environment)
        if environment and view.wants("environment")
        else None,
        code=_code(code) if code and view.wants("code") else None,
        params=tuple(held.params.get(key, ())),
        tags=held.tags.get(key, {}),
        metrics=tuple(held.metrics.get(key, ())),
        dataset_inputs=tuple(held.dataset_inputs.get(key, ())),
    )


def _environment(document: dict[str, Any]) -> Environment:
    """A stored environment without packages; older ones lack fields that were added since."""
    lists = {name: tuple(document[name]) for name in ("command_line", "accelerators")}
    found = document.get("conda")
    conda = (
        CondaEnvironment(name=found["name"], channels=tuple(found["channels"])) if found else None
    )
    return Environment(**{**document, **lists, "conda": conda})


def _code(document: dict[str, Any]) -> Code:
    return Code(**{**document, "untracked_files": tuple(document.get("untracked_files", ()))})
