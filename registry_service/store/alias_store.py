"""The tables of aliases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from registry_service.alias_records import AliasStay
from registry_service.alias_tables import alias_stays
from registry_service.store.actor_columns import read_actor
from registry_service.tables import actors
from service_chassis.field_table import Field, FieldTable, Kind
from service_chassis.listing import list_page

if TYPE_CHECKING:
    from service_chassis.listing import PageRequest

FIELDS = FieldTable(
    {
        "alias": Field(alias_stays.c.alias, Kind.TEXT),
        "version": Field(alias_stays.c.version, Kind.TEXT),
        "actor": Field(actors.c.actor, Kind.TEXT),
        "start_time": Field(alias_stays.c.start_us, Kind.TIMESTAMP),
        "end_time": Field(alias_stays.c.end_us, Kind.TIMESTAMP),
    },
    sortable=frozenset({"alias", "start_time"}),
)

_STAYS = sa.select(alias_stays, actors.c.principal_json).join_from(
    alias_stays, actors, actors.c.position == alias_stays.c.position
)
_OF_ALIAS = _STAYS.where(
    alias_stays.c.model_uid == sa.bindparam("model_uid"),
    alias_stays.c.alias == sa.bindparam("alias"),
)
_PRESENT = _OF_ALIAS.where(alias_stays.c.end_us.is_(None))
# One at a time: when the last that began is over, no earlier one goes on.
_LAST_BEGUN = (
    _OF_ALIAS.where(alias_stays.c.start_us <= sa.bindparam("us", type_=sa.BigInteger))
    .order_by(alias_stays.c.start_us.desc())
    .limit(1)
)


class AliasStore:
    """Reads and writes what aliases name."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def present(self, model_uid: str, alias: str) -> AliasStay | None:
        """What an alias names now."""
        given = {"model_uid": model_uid, "alias": alias}
        row = self._connection.execute(_PRESENT, given).one_or_none()
        return None if row is None else _stay(row)

    def at(self, model_uid: str, alias: str, us: int) -> AliasStay | None:
        """What an alias named at a moment."""
        given = {"model_uid": model_uid, "alias": alias, "us": us}
        row = self._connection.execute(_LAST_BEGUN, given).one_or_none()
        if row is None or (row.end_us is not None and row.end_us <= us):
            return None
        return _stay(row)

    def begin(self, stay: AliasStay, model_uid: str) -> None:
        """Add what an alias names from now on; what it named before must have ended."""
        self._connection.execute(
            alias_stays.insert().values(
                position=stay.position,
                model_uid=model_uid,
                model=stay.model,
                alias=stay.alias,
                version_uid=stay.version_uid,
                version=stay.version,
                reason=stay.reason,
                start_us=stay.start_us,
                end_us=stay.end_us,
            )
        )

    def end(self, stay: AliasStay, end_us: int) -> None:
        """End what an alias names."""
        self._connection.execute(
            alias_stays.update()
            .where(alias_stays.c.position == stay.position)
            .values(end_us=end_us)
        )

    def page(
        self, model_uid: str, page: PageRequest, *, at_us: int | None, show_past: bool
    ) -> tuple[list[AliasStay], str]:
        """One page of what the aliases of a model name now, or at a moment, or ever named."""
        base = _STAYS.where(alias_stays.c.model_uid == model_uid)
        if at_us is not None:
            begun, end = alias_stays.c.start_us <= at_us, alias_stays.c.end_us
            base = base.where(begun, sa.or_(end.is_(None), end > at_us))
        elif not show_past:
            base = base.where(alias_stays.c.end_us.is_(None))
        rows, token = list_page(self._connection, base, page, FIELDS, alias_stays.c.position)
        return [_stay(row) for row in rows], token


def _stay(row: sa.Row[Any]) -> AliasStay:
    return AliasStay(
        position=row.position,
        model=row.model,
        alias=row.alias,
        version_uid=row.version_uid,
        version=row.version,
        reason=row.reason,
        actor=read_actor(row.principal_json),
        start_us=row.start_us,
        end_us=row.end_us,
    )
