"""Everything that names a person, in all tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from registry_service.ledger import ERASED, actor_json
from registry_service.loaded_tables import loaded_versions
from registry_service.store.actor_columns import read_actor
from registry_service.tables import actors, answered_requests, version_lineages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from service_chassis.caller import Principal


class ErasureStore:
    """Finds and erases what names a person."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def find(self, person: str) -> Principal | None:
        """The person as one of his or her entries names him or her."""
        query = sa.select(actors.c.principal_json).where(actors.c.actor == person).limit(1)
        found = self._connection.execute(query).scalar_one_or_none()
        return None if found is None else read_actor(found)

    def positions(self, person: str) -> list[int]:
        """Positions of the entries that the person made, in order."""
        query = sa.select(actors.c.position).where(actors.c.actor == person)
        return list(self._connection.execute(query.order_by(actors.c.position)).scalars())

    def lineages(self, person: str) -> Iterator[tuple[str, bytes]]:
        """Uids of versions and their lineages that name the person, wherever that may be."""
        query = sa.select(version_lineages).where(self._holds(version_lineages.c.lineage, person))
        for row in self._connection.execute(query.order_by(version_lineages.c.version_uid)):
            yield row.version_uid, bytes(row.lineage)

    def count_reports(self, person: str) -> int:
        """How many reports of what was loaded are the person's."""
        query = sa.select(sa.func.count()).where(loaded_versions.c.reporter == person)
        return self._connection.execute(query).scalar_one()

    def erase(self, person: str, entry: int) -> None:
        """Erase the person from entries, reports and remembered answers.

        Args:
            person: Id of the person.
            entry: Position of the ledger entry that says so.
        """
        self._connection.execute(
            actors.update()
            .where(actors.c.actor == person, actors.c.position < entry)
            .values(actor=ERASED.id, salt=b"", principal_json=actor_json(ERASED), erased_by=entry)
        )
        self._connection.execute(
            loaded_versions.delete().where(loaded_versions.c.reporter == person)
        )
        named = self._holds(answered_requests.c.response, person)
        self._connection.execute(
            answered_requests.delete().where(sa.or_(answered_requests.c.principal == person, named))
        )

    def replace_lineage(self, version_uid: str, lineage: bytes) -> None:
        """Put another lineage in the place of one that named the person.

        Its digest stays that of the registration, in whose entry it stands.
        """
        self._connection.execute(
            version_lineages.update()
            .where(version_lineages.c.version_uid == version_uid)
            .values(lineage=lineage)
        )

    def _holds(self, column: sa.ColumnElement[Any], text: str) -> sa.ColumnElement[bool]:
        """Whether bytes hold a text."""
        needle = sa.literal(text.encode(), sa.LargeBinary)
        if self._connection.dialect.name == "sqlite":
            return sa.func.instr(column, needle) > 0
        return sa.func.position(needle.op("IN")(column)) > 0
