"""The table of stays: which version stood in which stage, from when until when."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from registry_service.records import Cause, Stage, Stay
from registry_service.store.actor_columns import read_actor
from registry_service.tables import actors, stays
from service_chassis.field_table import Field, FieldTable, Kind
from service_chassis.listing import list_page

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from service_chassis.listing import PageRequest

_STAGES = {stage.name: stage for stage in Stage}

FIELDS = FieldTable(
    {
        "create_time": Field(stays.c.start_us, Kind.TIMESTAMP),
        "version": Field(stays.c.version, Kind.TEXT),
        "from_stage": Field(stays.c.from_stage, Kind.ENUM, values=_STAGES),
        "to_stage": Field(stays.c.to_stage, Kind.ENUM, values=_STAGES),
        "cause": Field(
            stays.c.cause,
            Kind.ENUM,
            values={cause.name: cause for cause in Cause if cause is not Cause.REGISTERED},
        ),
    },
    sortable=frozenset({"create_time"}),
)

_STAYS = sa.select(stays, actors.c.principal_json).join_from(
    stays, actors, actors.c.position == stays.c.position
)
_TRANSITIONS = _STAYS.where(stays.c.cause != Cause.REGISTERED)
# Made once: making a statement takes longer than running it.
_US = sa.bindparam("us", type_=sa.BigInteger)
_LAST_BEGUN = (
    _STAYS.where(
        stays.c.model_uid == sa.bindparam("model_uid"),
        stays.c.to_stage == sa.bindparam("stage"),
        stays.c.start_us <= _US,
    )
    .order_by(stays.c.start_us.desc(), stays.c.position.desc())
    .limit(1)
)
_LAST_OF_THOSE_THAT_LASTED = _LAST_BEGUN.where(
    sa.or_(stays.c.end_us.is_(None), stays.c.end_us > _US)
)
# Made once: making a statement takes longer than running it.
_BEGIN = stays.insert()
_END = (
    stays.update()
    .where(stays.c.version_uid == sa.bindparam("of_version"), stays.c.end_us.is_(None))
    .values(end_us=sa.bindparam("new_end"))
)


class StayStore:
    """Reads and writes stays."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def begin(self, stay: Stay, model_uid: str) -> None:
        """Add the stay that begins; the version's stay before must have ended."""
        row = {
            "position": stay.position,
            "model_uid": model_uid,
            "model": stay.model,
            "version_uid": stay.version_uid,
            "version": stay.version,
            "from_stage": stay.from_stage,
            "to_stage": stay.to_stage,
            "cause": stay.cause,
            "caused_by": stay.caused_by,
            "reason": stay.reason,
            "start_us": stay.start_us,
            "end_us": stay.end_us,
            "broke_glass": stay.broke_glass,
        }
        self._connection.execute(_BEGIN, row)

    def end(self, version_uid: str, end_us: int) -> None:
        """End the version's present stay."""
        self._connection.execute(_END, {"of_version": version_uid, "new_end": end_us})

    def at(self, model_uid: str, stage: Stage, us: int) -> Stay | None:
        """The stay in a stage at a moment; of several, the one that began last."""
        given = {"model_uid": model_uid, "stage": stage, "us": us}
        if stage is Stage.PRODUCTION:
            # One at a time: when the last that began is over, no earlier one goes on.
            row = self._connection.execute(_LAST_BEGUN, given).one_or_none()
            return None if row is None or _is_over(row, us) else _stay(row)
        row = self._connection.execute(_LAST_OF_THOSE_THAT_LASTED, given).one_or_none()
        return None if row is None else _stay(row)

    def present(self, version_uid: str) -> Stay:
        """The stay of a version that goes on."""
        row = self._connection.execute(
            _STAYS.where(stays.c.version_uid == version_uid, stays.c.end_us.is_(None))
        ).one()
        return _stay(row)

    def last_in_production(self, model_uid: str, except_version_uid: str) -> str:
        """Name of the version that left Production last, of all but one; empty without any."""
        name = self._connection.execute(
            sa.select(stays.c.version)
            .where(
                stays.c.model_uid == model_uid,
                stays.c.to_stage == Stage.PRODUCTION,
                stays.c.version_uid != except_version_uid,
            )
            .order_by(stays.c.start_us.desc())
            .limit(1)
        ).scalar_one_or_none()
        return name or ""

    def all_of(self, version_uid: str) -> list[Stay]:
        """Every stay of a version, beginning with the one since its registration."""
        rows = self._connection.execute(
            _STAYS.where(stays.c.version_uid == version_uid).order_by(stays.c.position)
        )
        return [_stay(row) for row in rows]

    def transitions_of(self, version_uid: str) -> list[Stay]:
        """Every change of stage of a version, oldest first."""
        rows = self._connection.execute(
            _TRANSITIONS.where(stays.c.version_uid == version_uid).order_by(stays.c.position)
        )
        return [_stay(row) for row in rows]

    def in_production(self, version_uids: Sequence[str]) -> Mapping[str, list[Stay]]:
        """Every stay of versions in Production, oldest first, by uid of the version."""
        found: defaultdict[str, list[Stay]] = defaultdict(list)
        rows = self._connection.execute(
            _STAYS.where(
                stays.c.version_uid.in_(version_uids), stays.c.to_stage == Stage.PRODUCTION
            ).order_by(stays.c.version_uid, stays.c.position)
        )
        for row in rows:
            found[row.version_uid].append(_stay(row))
        return found

    def page(self, model_uid: str, page: PageRequest) -> tuple[list[Stay], str]:
        """One page of the transitions of a model."""
        base = _TRANSITIONS.where(stays.c.model_uid == model_uid)
        rows, token = list_page(self._connection, base, page, FIELDS, stays.c.position)
        return [_stay(row) for row in rows], token


def _is_over(row: sa.Row[Any], us: int) -> bool:
    return row.end_us is not None and row.end_us <= us


def _stay(row: sa.Row[Any]) -> Stay:
    return Stay(
        position=row.position,
        model=row.model,
        version_uid=row.version_uid,
        version=row.version,
        from_stage=None if row.from_stage is None else Stage(row.from_stage),
        to_stage=Stage(row.to_stage),
        cause=Cause(row.cause),
        caused_by=row.caused_by,
        reason=row.reason,
        actor=read_actor(row.principal_json),
        start_us=row.start_us,
        end_us=row.end_us,
        broke_glass=row.broke_glass,
    )
