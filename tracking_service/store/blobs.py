"""Queries on which bytes a workspace has, how many, and whether a file refers to them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa

from service_chassis.database import TransactionConflictError
from tracking_service.store.inserts import is_inserted
from tracking_service.tables import artifacts, runs, workspace_blobs, workspace_usage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

# What every upload needs; making a statement takes several times as long as running it.
_PROMISED = sa.select(
    workspace_blobs.c.digest, workspace_blobs.c.size_bytes, workspace_blobs.c.promise_time
).where(
    workspace_blobs.c.workspace == sa.bindparam("of"),
    workspace_blobs.c.digest.in_(sa.bindparam("digests", expanding=True)),
)
_ADD_TO_USAGE = (
    workspace_usage.update()
    .where(workspace_usage.c.workspace == sa.bindparam("of"))
    .values(size_bytes=workspace_usage.c.size_bytes + sa.bindparam("more"))
)


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes that a workspace has."""

    workspace: str
    digest: str
    size_bytes: int


class BlobStore:
    """The bytes of workspaces within one transaction."""

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection

    def promised(self, workspace: str, digests: Iterable[str]) -> tuple[dict[str, int], int]:
        """Those of the digests, 64 hexadecimal digits, whose bytes the workspace has.

        Returns:
            Their sizes, and when the one of them was last promised that was not for the longest
            time; 0 when there are none.
        """
        wanted = {"of": workspace, "digests": list(set(digests))}
        found = self._connection.execute(_PROMISED, wanted).all()
        oldest_us = min((row.promise_time for row in found), default=0)
        return {row.digest: row.size_bytes for row in found}, oldest_us

    def promise(self, workspace: str, digests: Iterable[str], now: int) -> dict[str, int]:
        """Note that somebody is being told that the bytes are there; returns their sizes."""
        sizes = self._sizes(_sizes(workspace, digests).with_for_update())
        self._connection.execute(
            workspace_blobs.update().where(_among(workspace, sizes)).values(promise_time=now)
        )
        return sizes

    def sizes_kept(self, workspace: str, digests: Iterable[str]) -> dict[str, int]:
        """The sizes of those that the workspace has; they stay until this transaction ends."""
        return self._sizes(_sizes(workspace, digests).with_for_update(read=True))

    def add(self, workspace: str, digest: str, size_bytes: int, now: int) -> bool:
        """Note that the workspace has these bytes; they must be in the artifact store.

        Returns:
            Whether it did not have them before.
        """
        values = {
            "workspace": workspace,
            "digest": digest,
            "size_bytes": size_bytes,
            "create_time": now,
            "promise_time": now,
        }
        if not is_inserted(self._connection, workspace_blobs, values):
            if not self.promise(workspace, [digest], now):
                # It was forgotten between the two statements.
                raise TransactionConflictError
            return False
        self._count(workspace, size_bytes)
        return True

    def usage(self, workspace: str) -> int:
        """Number of bytes that the workspace has."""
        statement = sa.select(workspace_usage.c.size_bytes).where(
            workspace_usage.c.workspace == workspace
        )
        return self._connection.execute(statement).scalar_one_or_none() or 0

    def unreferenced(self, beginning: str, promised_before_us: int) -> list[Blob]:
        """Bytes that no file of their workspace refers to and nobody was told of of late.

        Args:
            beginning: What their digests begin with.
            promised_before_us: Those promised at this moment or later are left out.
        """
        # "g" is beyond all hexadecimal digits.
        return self._blobs(
            workspace_blobs.c.digest >= beginning,
            workspace_blobs.c.digest < f"{beginning}g",
            _collectable(promised_before_us),
        )

    def forget(self, workspace: str, digests: Sequence[str], promised_before_us: int) -> int:
        """Remove bytes that are `unreferenced` still; returns how many digests that were."""
        among = _among(workspace, digests)
        # Locked first, and looked at in a second statement: whoever records a file holds the same
        # lock, so he is either seen here or sees that the bytes are gone.
        locked = sa.select(workspace_blobs.c.digest).where(among).order_by(workspace_blobs.c.digest)
        mine = self._connection.execute(locked.with_for_update(skip_locked=True)).scalars().all()
        removed = (
            self._connection.execute(
                workspace_blobs.delete()
                .where(_among(workspace, mine), _collectable(promised_before_us))
                .returning(workspace_blobs.c.size_bytes)
            )
            .scalars()
            .all()
        )
        if removed:
            self._count(workspace, -sum(removed))
        return len(removed)

    def owners(self, digests: Collection[str]) -> list[Blob]:
        """Who has these bytes: one entry for each digest and workspace."""
        return self._blobs(workspace_blobs.c.digest.in_(digests))

    def _blobs(self, *conditions: sa.ColumnElement[bool]) -> list[Blob]:
        rows = self._connection.execute(sa.select(workspace_blobs).where(*conditions))
        return [Blob(row.workspace, row.digest, row.size_bytes) for row in rows]

    def _sizes(self, statement: sa.Select[tuple[str, int]]) -> dict[str, int]:
        return {row.digest: row.size_bytes for row in self._connection.execute(statement)}

    def _count(self, workspace: str, size_bytes: int) -> None:
        change = {"of": workspace, "more": size_bytes}
        if not self._connection.execute(_ADD_TO_USAGE, change).rowcount:
            values = {"workspace": workspace, "size_bytes": size_bytes}
            if not is_inserted(self._connection, workspace_usage, values):
                # Somebody else's was the first.
                raise TransactionConflictError


def _sizes(workspace: str, digests: Iterable[str]) -> sa.Select[tuple[str, int]]:
    # In order, so that no two transactions that lock rows wait for each other.
    return (
        sa.select(workspace_blobs.c.digest, workspace_blobs.c.size_bytes)
        .where(_among(workspace, digests))
        .order_by(workspace_blobs.c.digest)
    )


def _among(workspace: str, digests: Iterable[str]) -> sa.ColumnElement[bool]:
    return sa.and_(
        workspace_blobs.c.workspace == workspace, workspace_blobs.c.digest.in_(set(digests))
    )


def _collectable(promised_before_us: int) -> sa.ColumnElement[bool]:
    # Files of deleted runs count: the run can be restored.
    reference = (
        sa.select(artifacts.c.digest)
        .join(runs, runs.c.id == artifacts.c.run)
        .where(
            artifacts.c.digest == workspace_blobs.c.digest,
            runs.c.workspace == workspace_blobs.c.workspace,
        )
    )
    return sa.and_(workspace_blobs.c.promise_time < promised_before_us, ~reference.exists())
