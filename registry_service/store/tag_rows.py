"""Tags, which models and versions keep in tables of the same form."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class TagRows:
    """The tags of the owners of one table.

    Args:
        connection: A connection inside a transaction.
        table: Table with the columns `key`, `value` and that of the owner.
        owner: The column that says whose tag it is.
    """

    def __init__(
        self, connection: sa.Connection, table: sa.Table, owner: sa.ColumnElement[str]
    ) -> None:
        self._connection = connection
        self._table = table
        self._owner = owner

    def of(self, owners: Sequence[str]) -> Mapping[str, dict[str, str]]:
        """The tags of several owners, by owner."""
        found: defaultdict[str, dict[str, str]] = defaultdict(dict)
        rows = self._connection.execute(_tags_of(self._table, self._owner), {"owners": owners})
        for owner, key, value in rows:
            found[owner][key] = value
        return found

    def replace(self, owner: str, tags: Mapping[str, str]) -> None:
        """Give an owner these tags and no others."""
        self._connection.execute(self._table.delete().where(self._owner == owner))
        if tags:
            name = str(self._owner.key)
            self._connection.execute(
                self._table.insert(),
                [{name: owner, "key": key, "value": value} for key, value in tags.items()],
            )


@cache
def _tags_of(table: sa.Table, owner: sa.ColumnElement[str]) -> sa.Select[Any]:
    """The statement, made once: that takes longer than running it."""
    return (
        sa.select(owner, table.c.key, table.c.value)
        .where(owner.in_(sa.bindparam("owners", expanding=True)))
        .order_by(table.c.key)
    )


def tag_value(
    table: sa.Table, owner: sa.ColumnElement[str], belongs_to: sa.ColumnElement[str], key: str
) -> sa.ScalarSelect[str]:
    """The value of one tag as a column of the query that lists the owners; NULL without it."""
    return sa.select(table.c.value).where(owner == belongs_to, table.c.key == key).scalar_subquery()
