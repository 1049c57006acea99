"""Where a run's records go: to the configured folder, or else to wherever there is room."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from studbook.client_settings import ClientSettings
from studbook.record_folder import RunFolder, records_root

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studbook.record_log import RecordWriter
    from studbook.run_records import RunStart

_log = logging.getLogger("studbook")

# Memory that looks like a disk: what is written there survives the process, not the machine.
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of one's own is made in it


def open_records(start: RunStart) -> tuple[RunFolder, RecordWriter] | None:
    """The run's folder with a new record file in it; elsewhere when it cannot be written to.

    Returns:
        None when nothing at all can be written to. Whatever is unusual has been told.
    """
    wanted = "The folder for records"
    try:
        folder = RunFolder.of(start.run, records_root())
        wanted = str(folder.path)
        return folder, _begin(folder, start)
    except OSError as error:
        reason = error.strerror or str(error)
    for folder in _other_places(start):
        try:
            writer = _begin(folder, start)
        except OSError:
            continue
        _log.warning(
            "Studbook: %s cannot be written to (%s); records go to %s. What is not sent when the "
            "run ends can be sent with `STUDBOOK_DIR=%s studbook sync`.",
            wanted,
            reason,
            folder.path,
            folder.path.parent,
        )
        return folder, writer
    _log.warning(
        "Studbook: %s cannot be written to (%s), nor can a folder for temporary files. Training "
        "goes on; nothing of it is recorded.",
        wanted,
        reason,
    )
    return None


def _begin(folder: RunFolder, start: RunStart) -> RecordWriter:
    folder.make()
    segment_bytes = ClientSettings.from_environment().segment_bytes
    return folder.chain(start.writer).open(start, segment_bytes)


def _other_places(start: RunStart) -> Iterator[RunFolder]:
    for parent in (None, _MEMORY):
        try:
            root = Path(tempfile.mkdtemp(prefix="studbook-", dir=parent))
        except OSError:
            continue
        yield RunFolder.of(start.run, root)
