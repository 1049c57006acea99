"""Removing bytes that no file refers to any more, while uploads and records go on.

Two things are removed, in this order, so that a crash in between leaves at most a file too many:
first the entry that says that a workspace has some bytes, then the file itself, once no workspace
has it. An entry stays while a file of any run of the workspace refers to it, deleted runs
included, and while it was promised to anybody of late that the bytes are there: between the
promise and the record there is a time in which nothing refers to them. A file is deleted only
while its shelf of the store is closed to uploads, and after another look at the database.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import TYPE_CHECKING

from service_chassis.blob_shelves import SHELVES
from service_chassis.blob_upload import store_errors
from service_chassis.timestamps import now_us
from tracking_service.store.blobs import BlobStore

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import sqlalchemy as sa

    from service_chassis.blob_store import FolderBlobStore
    from service_chassis.database import Database
    from tracking_service.store.blobs import Blob

_BLOBS_AT_ONCE = 500
_MICROSECONDS = 1_000_000


@dataclass(frozen=True)
class GracePeriods:
    """How long things are left alone that nobody seems to need.

    Attributes:
        unreferenced_s: Bytes that nothing refers to, since they were last promised to be there.
        unfinished_s: Interrupted uploads, since their last byte.
    """

    unreferenced_s: float
    unfinished_s: float


@dataclass
class Collected:
    """What a collection removed, or would remove.

    Attributes:
        blobs: Entries of bytes that a workspace had, and nothing in it referred to.
        files: Files that no workspace had.
        file_bytes: Their bytes.
        uploads: Interrupted uploads.
        shelves_in_use: Of 256, those that were left for another time.
    """

    blobs: int = 0
    files: int = 0
    file_bytes: int = 0
    uploads: int = 0
    shelves_in_use: int = 0


class Collector:
    """Looks through a store. Several may run at once, in any number of processes.

    Args:
        database: Says who has which bytes, and what refers to them.
        blobs: The store.
        grace: What to leave alone.
        clock: The present moment in microseconds.
    """

    def __init__(
        self,
        database: Database,
        blobs: FolderBlobStore,
        grace: GracePeriods,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._database = database
        self._blobs = blobs
        self._grace = grace
        self._clock = clock

    def collect(self, *, stopping: Callable[[], bool] = lambda: False) -> Collected:
        """Remove what nobody needs; blocks.

        Args:
            stopping: Asked now and then whether to leave the rest for another time.

        Raises:
            StudbookError: STORE_UNAVAILABLE, when the database or the store cannot be used.
        """
        found = Collected()
        for shelf in SHELVES:
            if stopping():
                return found
            found.blobs += self._forget(self._unreferenced(shelf))
            self._remove_files(shelf, found)
        found.uploads = self._blobs.discard_stale_uploads(self._grace.unfinished_s)
        return found

    def look(self) -> Collected:
        """What `collect` would remove now; interrupted uploads are not looked at.

        Raises:
            StudbookError: As `collect`.
        """
        found = Collected()
        for shelf in SHELVES:
            unneeded = self._unreferenced(shelf)
            found.blobs += len(unneeded)
            for batch in self._batches_of_files(shelf):
                for digest in self._without_owner(batch, besides=unneeded):
                    found.files += 1
                    found.file_bytes += self._blobs.size(digest) or 0
        return found

    def _unreferenced(self, shelf: str) -> list[Blob]:
        return self._database.read_now(
            lambda connection: BlobStore(connection).unreferenced(shelf, self._promised_before())
        )

    def _forget(self, blobs: Sequence[Blob]) -> int:
        """Remove entries that nothing refers to; returns how many that were."""
        forgotten = 0
        by_workspace = attrgetter("workspace")
        for workspace, owned in groupby(sorted(blobs, key=by_workspace), by_workspace):
            digests = [blob.digest for blob in owned]
            for start in range(0, len(digests), _BLOBS_AT_ONCE):
                batch = digests[start : start + _BLOBS_AT_ONCE]
                forgotten += self._database.write_now(partial(self._forget_in, workspace, batch))
        return forgotten

    def _forget_in(self, workspace: str, digests: Sequence[str], connection: sa.Connection) -> int:
        return BlobStore(connection).forget(workspace, digests, self._promised_before())

    def _remove_files(self, shelf: str, found: Collected) -> None:
        """Delete the files of a shelf that no workspace has."""
        for batch in self._batches_of_files(shelf):
            # Most have an owner; the shelf is not closed for looking at those.
            suspects = self._without_owner(batch)
            if not suspects:
                continue
            with self._blobs.collecting(shelf) as collection:
                if collection is None:
                    found.shelves_in_use += 1
                    return
                unowned = self._without_owner(suspects)
                with store_errors():
                    files, size = collection.remove(unowned)
            found.files += files
            found.file_bytes += size

    def _batches_of_files(self, shelf: str) -> Iterator[list[str]]:
        digests = self._blobs.shelf_digests(shelf, self._grace.unreferenced_s)
        for start in range(0, len(digests), _BLOBS_AT_ONCE):
            yield digests[start : start + _BLOBS_AT_ONCE]

    def _without_owner(self, digests: Sequence[str], besides: Sequence[Blob] = ()) -> list[str]:
        """Those of the digests that no workspace has, but for the given entries."""
        owners = self._database.read_now(lambda connection: BlobStore(connection).owners(digests))
        owned = {blob.digest for blob in owners if blob not in set(besides)}
        return [digest for digest in digests if digest not in owned]

    def _promised_before(self) -> int:
        return self._clock() - int(self._grace.unreferenced_s * _MICROSECONDS)
