"""The tables as they are read to be compared with the ledger: row by row, nothing interpreted."""

from __future__ import annotations

import json
from collections import defaultdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from registry_service.alias_tables import alias_stays, protected_aliases
from registry_service.ledger import Outcome
from registry_service.lineage_tables import version_datasets, version_parents
from registry_service.loaded_tables import loaded_versions
from registry_service.policy_tables import policies
from registry_service.tables import (
    actors,
    ledger,
    model_tags,
    models,
    stays,
    version_files,
    version_lineages,
    version_tags,
    versions,
)
from registry_service.token_tables import spent_tokens
from registry_service.transition_request_tables import transition_requests, transition_reviews
from registry_service.webhook_tables import webhook_deliveries, webhooks
from studbook.ledger_chain import Link

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    Row = dict[str, Any]

_AT_ONCE = 500
_BY_POSITION = {
    table.name: table
    for table in (stays, alias_stays, policies, transition_requests, transition_reviews)
}
_CONTENTS = {
    table.name: table
    for table in (version_files, version_lineages, version_datasets, version_parents)
}
_OWNED = {
    "model_tags": (model_tags.c.model_uid, models.c.uid),
    "protected_aliases": (protected_aliases.c.model_uid, models.c.uid),
    "version_tags": (version_tags.c.version_uid, versions.c.uid),
    **{table.name: (table.c.version_uid, versions.c.uid) for table in _CONTENTS.values()},
}
# Keys of rows beside the ledger that name a version, or tell of a change, that there is not.
_STRANGE = {
    "loaded_versions": sa.select(loaded_versions.c.instance).where(
        ~sa.exists().where(
            versions.c.uid == loaded_versions.c.version_uid,
            versions.c.name == loaded_versions.c.version,
            versions.c.model_uid == loaded_versions.c.model_uid,
        )
    ),
    "webhook_deliveries": sa.select(webhook_deliveries.c.position).where(
        ~sa.exists().where(
            webhooks.c.uid == webhook_deliveries.c.webhook_uid,
            webhooks.c.create_position < webhook_deliveries.c.position,
            ledger.c.position == webhook_deliveries.c.position,
            ledger.c.resource == webhook_deliveries.c.resource,
        )
    ),
}
_OUTCOME = sa.case(
    *((ledger.c.outcome == outcome, outcome.name) for outcome in Outcome),
    else_=sa.cast(ledger.c.outcome, sa.Text),
)
# In the order of `Link`, then what an entry is found by. An entry is read even if the row of its
# actor was deleted.
_ENTRIES = (
    sa.select(
        ledger.c.position,
        ledger.c.create_us,
        sa.func.coalesce(actors.c.principal_json, ""),
        ledger.c.actor_digest,
        sa.func.coalesce(actors.c.salt, sa.literal(b"", sa.LargeBinary)),
        sa.func.coalesce(actors.c.erased_by, 0),
        ledger.c.action,
        ledger.c.resource,
        _OUTCOME,
        ledger.c.reason,
        ledger.c.content_json,
        ledger.c.caused_by,
        ledger.c.previous_hash,
        ledger.c.hash,
        ledger.c.workspace,
        ledger.c.model,
        sa.func.coalesce(actors.c.actor, ""),
    )
    .outerjoin_from(ledger, actors, actors.c.position == ledger.c.position)
    .where(ledger.c.position > sa.bindparam("after"))
    .order_by(ledger.c.position)
    .limit(sa.bindparam("limit"))
)
_LINK = len(Link._fields)


class FoundEntry(NamedTuple):
    """An entry and the columns by which it is found, which are not sealed with it.

    Attributes:
        actor: Id of the actor by which it is found.
        actor_id: Id in the actor itself.
    """

    link: Link
    workspace: str
    model: str
    actor: str
    actor_id: str


class AuditStore:
    """Reads rows to compare them with the ledger."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def entries(self, after: int, limit: int) -> list[FoundEntry]:
        """The entries behind a position, in order."""
        found = self._connection.execute(_ENTRIES, {"after": after, "limit": limit})
        return list(map(_entry, found.all()))

    def columns(self, table: str) -> list[str]:
        """Names of the columns of a table whose rows are named by positions."""
        return _BY_POSITION[table].columns.keys()

    def positions(self, table: str, first: int, last: int | None = None) -> set[int]:
        """Positions of the rows of a table from one position up to another, both included."""
        column = _BY_POSITION[table].c.position
        query = sa.select(column).where(column >= first)
        if last is not None:
            query = query.where(column <= last)
        return set(self._connection.execute(query).scalars())

    def at_positions(self, table: str, positions: Sequence[int]) -> Mapping[int, Sequence[Any]]:
        """Rows of a table by position, their values in the order of its columns."""
        rows = _BY_POSITION[table]
        query = sa.select(rows).where(rows.c.position.in_(sa.bindparam("keys", expanding=True)))
        return {
            row.position: row
            for part in _parts(positions)
            for row in self._connection.execute(query, {"keys": part}).all()
        }

    def contents(self, table: str, version_uids: Sequence[str]) -> Mapping[str, list[Row]]:
        """Rows of a table of what versions consist of, by version, in order of their keys."""
        columns = _CONTENTS[table].primary_key.columns
        found: defaultdict[str, list[Row]] = defaultdict(list)
        for part in _parts(version_uids):
            query = sa.select(_CONTENTS[table]).where(_CONTENTS[table].c.version_uid.in_(part))
            for row in self._connection.execute(query.order_by(*columns)).mappings():
                values = dict(row)
                found[values.pop("version_uid")].append(values)
        return found

    def models(self) -> Iterator[Row]:
        """Every row."""
        return self._all(models)

    def versions(self) -> Iterator[Row]:
        """Every row."""
        return self._all(versions)

    def webhooks(self) -> Iterator[Row]:
        """Every row."""
        return self._all(webhooks)

    def spent_tokens(self) -> Mapping[tuple[str, str], int]:
        """When each row expires, by issuer and digest."""
        found = self._connection.execute(sa.select(spent_tokens))
        return {(row.issuer, row.digest): row.expire_us for row in found}

    def tags(self) -> Mapping[str, dict[str, str]]:
        """Tags of models and versions by uid."""
        found: defaultdict[str, dict[str, str]] = defaultdict(dict)
        for table in (model_tags, version_tags):
            for uid, key, value in self._connection.execute(sa.select(table)):
                found[uid][key] = value
        return found

    def protected_aliases(self) -> Mapping[str, set[str]]:
        """Protected aliases by uid of the model."""
        found: defaultdict[str, set[str]] = defaultdict(set)
        for uid, alias in self._connection.execute(sa.select(protected_aliases)):
            found[uid].add(alias)
        return found

    def orphans(self, last: int) -> Iterator[tuple[str, str]]:
        """Tables and names of rows that belong to no entry, model or version there is.

        Args:
            last: Position of the last entry.
        """
        beyond = sa.or_(actors.c.position > last, actors.c.position < 1)
        query = sa.select(actors.c.position).where(beyond)
        for position in self._connection.execute(query).scalars():
            yield "actors", f"position {position}"
        for name, (owner, owners) in _OWNED.items():
            query = sa.select(owner).where(owner.not_in(sa.select(owners))).distinct()
            for uid in self._connection.execute(query).scalars():
                yield name, uid
        for name, query in _STRANGE.items():
            for key in self._connection.execute(query).scalars():
                yield name, str(key)

    def _all(self, table: sa.Table) -> Iterator[Row]:
        query = sa.select(table).execution_options(yield_per=_AT_ONCE)
        return (dict(row) for row in self._connection.execute(query).mappings())


def _parts(keys: Sequence[Any]) -> Iterator[Collection[Any]]:
    """Keys in portions that fit into one statement."""
    return (keys[start : start + _AT_ONCE] for start in range(0, len(keys), _AT_ONCE))


def _entry(row: Any) -> FoundEntry:
    link = Link._make(row[:_LINK])
    workspace, model, actor = row[_LINK:]
    return FoundEntry(link, workspace, model, actor, _id_of(link.actor_json))


@lru_cache(maxsize=4096)
def _id_of(actor_json: str) -> str:
    try:
        return str(json.loads(actor_json)["id"])
    except (ValueError, TypeError, KeyError):
        return ""
