"""The table of what instances have loaded."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from registry_service.ledger import actor_json
from registry_service.loaded_records import LoadedReport, Match
from registry_service.loaded_tables import loaded_versions
from registry_service.records import Stage
from registry_service.store.actor_columns import read_actor
from registry_service.tables import versions
from service_chassis.field_table import Field, FieldTable, Kind
from service_chassis.listing import list_page

if TYPE_CHECKING:
    from collections.abc import Iterable

    from registry_service.loaded_records import Retention
    from service_chassis.listing import PageRequest

_MATCH = sa.case(
    (loaded_versions.c.digest != versions.c.digest, Match.OTHER_BYTES),
    (versions.c.stage == Stage.PRODUCTION, Match.PRODUCTION),
    else_=Match.OTHER_VERSION,
)
_KEY = (
    loaded_versions.c.model_uid,
    loaded_versions.c.reporter,
    loaded_versions.c.instance,
)

FIELDS = FieldTable(
    {
        "version": Field(loaded_versions.c.version, Kind.TEXT),
        "digest": Field(
            loaded_versions.c.digest, Kind.TEXT, encode=lambda text: text.removeprefix("sha256:")
        ),
        "instance": Field(loaded_versions.c.instance, Kind.TEXT),
        "reporter": Field(loaded_versions.c.reporter, Kind.TEXT),
        "match": Field(_MATCH, Kind.ENUM, values={match.name: match for match in Match}),
        "load_time": Field(loaded_versions.c.load_us, Kind.TIMESTAMP),
        "report_time": Field(loaded_versions.c.report_us, Kind.TIMESTAMP),
    },
    sortable=frozenset({"report_time", "load_time", "instance"}),
)

_REPORTS = sa.select(
    loaded_versions,
    _MATCH.label("match"),
    # No column alone tells reports apart.
    (loaded_versions.c.reporter + "\t" + loaded_versions.c.instance).label("place"),
).join_from(loaded_versions, versions, versions.c.uid == loaded_versions.c.version_uid)


class LoadedStore:
    """Reads and writes reports."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def keep(self, report: LoadedReport) -> None:
        """Store a report in the place of the instance's former one."""
        self._connection.execute(
            _keep(self._connection.dialect.name),
            {
                "model_uid": report.model_uid,
                "reporter": report.reporter.id,
                "instance": report.instance,
                "version_uid": report.version_uid,
                "version": report.version,
                "digest": report.digest,
                "load_us": report.load_us,
                "report_us": report.report_us,
                "reporter_json": actor_json(report.reporter),
            },
        )

    def forget(self, report: LoadedReport, retention: Retention) -> None:
        """Remove what of the same model is too old, or too much of the same reporter."""
        of_model = loaded_versions.c.model_uid == report.model_uid
        of_reporter = loaded_versions.c.reporter == report.reporter.id
        too_old = loaded_versions.c.report_us < report.report_us - retention.kept_us
        self._connection.execute(loaded_versions.delete().where(of_model, too_old))
        last_kept = (
            sa.select(loaded_versions.c.report_us)
            .where(of_model, of_reporter)
            .order_by(loaded_versions.c.report_us.desc())
            .offset(retention.instances - 1)
            .limit(1)
            .scalar_subquery()
        )
        self._connection.execute(
            loaded_versions.delete().where(
                of_model, of_reporter, loaded_versions.c.report_us < last_kept
            )
        )

    def page(
        self, model_uid: str, page: PageRequest, since_us: int
    ) -> tuple[list[LoadedReport], str]:
        """One page of the reports about a model that came since a moment."""
        base = _REPORTS.where(
            loaded_versions.c.model_uid == model_uid, loaded_versions.c.report_us >= since_us
        )
        place = loaded_versions.c.reporter + "\t" + loaded_versions.c.instance
        rows, token = list_page(self._connection, base, page, FIELDS, place)
        return [_report(row) for row in rows], token

    def counts(self, since_us: int) -> Iterable[tuple[str, Match, int]]:
        """How many instances have loaded what, by name of the model and match."""
        model = versions.c.model.label("model")
        match = _MATCH.label("match")
        rows = self._connection.execute(
            sa.select(model, match, sa.func.count())
            .join_from(loaded_versions, versions, versions.c.uid == loaded_versions.c.version_uid)
            .where(loaded_versions.c.report_us >= since_us)
            .group_by(model, match)
        )
        return [(name, Match(number), count) for name, number, count in rows]


@cache
def _keep(dialect: str) -> sa.Executable:
    module = sqlite if dialect == "sqlite" else postgresql
    insert = module.insert(loaded_versions)
    changed = {
        column.name: insert.excluded[column.name]
        for column in loaded_versions.c
        if column.name not in {key.name for key in _KEY}
    }
    statement: sa.Executable = insert.on_conflict_do_update(index_elements=list(_KEY), set_=changed)
    return statement


def _report(row: sa.Row[Any]) -> LoadedReport:
    return LoadedReport(
        model_uid=row.model_uid,
        instance=row.instance,
        version_uid=row.version_uid,
        version=row.version,
        digest=row.digest,
        load_us=row.load_us,
        report_us=row.report_us,
        reporter=read_actor(row.reporter_json),
        match=Match(row.match),
    )
