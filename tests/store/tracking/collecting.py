"""What tests of collection look at: the rows and the files that are there, and their age."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from service_chassis.errors import StudbookError
from tests.store.tracking.at_work import sha256
from tracking_service.collection import Collected, Collector, GracePeriods
from tracking_service.tables import metadata, workspace_blobs, workspace_usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from service_chassis.database import Database
    from tests.store.tracking.at_work import Tracking


def hex_digest(data: bytes) -> str:
    """The digest as rows and file names have it."""
    return sha256(data).removeprefix("sha256:")


def entries(tracking: Tracking) -> dict[str, set[str]]:
    """The digests that each workspace has, by its name."""
    rows = tracking.database.read_now(
        lambda connection: connection.execute(sa.select(workspace_blobs)).all()
    )
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(row.workspace, set()).add(row.digest)
    return found


def usage(tracking: Tracking) -> dict[str, int]:
    """The bytes that are counted for each workspace that has any."""
    rows = tracking.database.read_now(
        lambda connection: connection.execute(sa.select(workspace_usage)).all()
    )
    return {row.workspace: row.size_bytes for row in rows if row.size_bytes}


def stored(tracking: Tracking) -> set[str]:
    """The digests of the files in a store."""
    return {path.name for path in tracking.folder.glob("sha256/*/*")}


def unfinished(tracking: Tracking) -> int:
    """How many interrupted uploads lie in a store."""
    return sum(1 for _ in tracking.folder.glob("partial/*"))


def pass_time(tracking: Tracking, seconds: float) -> None:
    """Make all that is there so much older."""
    older = sa.update(workspace_blobs).values(
        promise_time=workspace_blobs.c.promise_time - int(seconds * 1_000_000)
    )
    tracking.database.write_now(lambda connection: connection.execute(older))
    for path in (*tracking.folder.glob("sha256/*/*"), *tracking.folder.glob("partial/*")):
        found = path.stat()
        shift = int(seconds * 1e9)
        os.utime(path, ns=(found.st_atime_ns - shift, found.st_mtime_ns - shift))


def empty(database: Database) -> None:
    """Remove every row, so that the next example of a property test finds nothing."""

    def remove(connection: sa.Connection) -> None:
        for table in reversed(metadata.sorted_tables):
            connection.execute(table.delete())

    database.write_now(remove)


def refusal_of(work: Callable[[], Any]) -> str:
    """The reason of the refusal; empty when there was none."""
    try:
        work()
    except StudbookError as error:
        return error.reason
    return ""


def collect(tracking: Tracking, unreferenced_s: float, unfinished_s: float) -> Collected:
    """Collect until no shelf was in use: a call that was answered may still be letting go."""
    collector = Collector(
        tracking.database, tracking.blobs, GracePeriods(unreferenced_s, unfinished_s)
    )
    total = Collected()
    while True:
        found = collector.collect()
        for name in ("blobs", "files", "file_bytes", "uploads"):
            setattr(total, name, getattr(total, name) + getattr(found, name))
        if not found.shelves_in_use:
            return total
