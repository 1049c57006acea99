"""The tables of what versions came of."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from registry_service.lineage_tables import version_datasets, version_parents
from registry_service.records import DatasetUse, Parent
from registry_service.tables import ledger, stays, version_lineages

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from registry_service.records import Snapshot


@dataclass(frozen=True, slots=True)
class Origin:
    """What is asked after. One of the fields is set.

    Attributes:
        dataset: Name of a version of a dataset, or of a dataset, which stands for all of them.
        digest: Digest of a dataset, or of a base from elsewhere.
        version: Name of a version of a model.
    """

    dataset: str = ""
    digest: str = ""
    version: str = ""

    def used(self) -> sa.ColumnElement[bool]:
        """Whether a row of `version_datasets` is about it."""
        columns = version_datasets.c
        if self.digest:
            return columns.digest == self.digest
        if not self.dataset:
            return sa.false()
        if "/versions/" in self.dataset:
            return columns.dataset == self.dataset
        below = f"{self.dataset}/versions"
        # "0" follows "/".
        return sa.and_(columns.dataset >= f"{below}/", columns.dataset < f"{below}0")

    def begun_from(self) -> sa.ColumnElement[bool]:
        """Whether a row of `version_parents` is about it."""
        columns = version_parents.c
        if self.digest:
            return columns.digest == self.digest
        return columns.parent == self.version if self.version else sa.false()


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a ledger entry holds beside what the stay that it began says."""

    hash: bytes
    content_json: str


class LineageStore:
    """Writes and finds what versions came of."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def insert(self, version_uid: str, snapshot: Snapshot) -> None:
        """Write down what a new version came of."""
        datasets = [
            {
                "version_uid": version_uid,
                "place": place,
                "dataset": used.dataset,
                "role": used.role,
                "digest": used.digest,
            }
            for place, used in enumerate(snapshot.datasets)
        ]
        parents = [
            {
                "version_uid": version_uid,
                "place": place,
                "parent_uid": parent.version_uid or None,
                "parent": parent.version,
                "uri": parent.uri,
                "digest": parent.digest,
            }
            for place, parent in enumerate(snapshot.parents)
        ]
        if datasets:
            self._connection.execute(version_datasets.insert(), datasets)
        if parents:
            self._connection.execute(version_parents.insert(), parents)

    def digest(self, version_uid: str) -> str:
        """The digest of a version's lineage as it was written down, which the ledger holds too."""
        query = sa.select(version_lineages.c.digest).where(
            version_lineages.c.version_uid == version_uid
        )
        digest: str = self._connection.execute(query).scalar_one()
        return digest

    def datasets(self, origin: Origin, uids: Sequence[str]) -> Mapping[str, list[DatasetUse]]:
        """The datasets asked after that versions used themselves, by uid of the version."""
        found: defaultdict[str, list[DatasetUse]] = defaultdict(list)
        columns = version_datasets.c
        rows = self._connection.execute(
            sa.select(version_datasets)
            .where(columns.version_uid.in_(uids), origin.used())
            .order_by(columns.version_uid, columns.place)
        )
        for row in rows:
            found[row.version_uid].append(DatasetUse(row.dataset, row.role, row.digest))
        return found

    def evidence(self, version_uid: str) -> Mapping[int, Evidence]:
        """The ledger entries that began the stays of a version, by position."""
        rows = self._connection.execute(
            sa.select(ledger.c.position, ledger.c.hash, ledger.c.content_json)
            .join_from(stays, ledger, ledger.c.position == stays.c.position)
            .where(stays.c.version_uid == version_uid)
        )
        return {row.position: Evidence(row.hash, row.content_json) for row in rows}

    def parents(self, origin: Origin, uids: Sequence[str]) -> Mapping[str, list[Parent]]:
        """The parents through which versions came of what is asked after, by uid of the version."""
        found: defaultdict[str, list[Parent]] = defaultdict(list)
        columns = version_parents.c
        through = sa.or_(origin.begun_from(), columns.parent_uid.in_(derived(origin)))
        rows = self._connection.execute(
            sa.select(version_parents)
            .where(columns.version_uid.in_(uids), through)
            .order_by(columns.version_uid, columns.place)
        )
        for row in rows:
            found[row.version_uid].append(
                Parent(row.parent, row.parent_uid or "", row.uri, row.digest)
            )
        return found


def derived(origin: Origin) -> sa.Select[Any]:
    """Selects the uids of all versions that came of something, deleted ones among them."""
    used = sa.select(version_datasets.c.version_uid).where(origin.used())
    begun = sa.select(version_parents.c.version_uid).where(origin.begun_from())
    first_generation = sa.union(used, begun).subquery()
    known = sa.select(first_generation.c.version_uid).cte("derived", recursive=True)
    next_generation = sa.select(version_parents.c.version_uid).join(
        known, version_parents.c.parent_uid == known.c.version_uid
    )
    whole = known.union(next_generation)
    return sa.select(whole.c.version_uid)
