"""Sending one record file, in order, so that nothing is lost and nothing counts twice."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Self

from studbook.delivery import Delivery
from studbook.exceptions import (
    Cancelled,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    ServerError,
    StudbookError,
    Unauthenticated,
    Unsupported,
)
from studbook.metric_batches import MetricBatch
from studbook.patience import is_passing
from studbook.record_folder import PositionFile, is_written, note_refusal, read_start
from studbook.record_log import METRICS, SHAPE, MetricDecoder, learn_shapes, read_records
from studbook.run_records import Artifacts, RunEnd, RunStart, VersionWanted, decode

if TYPE_CHECKING:
    from collections.abc import Callable

    from studbook.client import Client
    from studbook.record_log import RawRecord
    from studbook.run_records import RunRecord

_MOST_POINTS = 20_000


class Shipment:
    """One record file on its way to the server. Made with `acquire`.

    Attributes:
        records: The file.
        start: Its first record.
        end: Its last record, once that has been sent; None before.
    """

    def __init__(
        self, records: Path, start: RunStart, position: PositionFile, delivery: Delivery
    ) -> None:
        self.records = records
        self.start = start
        self.end: RunEnd | None = None
        self._refusals: list[str] = []
        self._position = position
        self._delivery = delivery
        self._descriptor = os.open(records, os.O_RDONLY | os.O_CLOEXEC)
        self._decoder: MetricDecoder = learn_shapes(self._descriptor, position.sent)

    @classmethod
    def acquire(
        cls, client: Client, records: Path, on_progress: Callable[[], None] = lambda: None
    ) -> Self | None:
        """Take charge of a file; None when another process has, or when it has nothing to say.

        Raises:
            OSError: When it cannot be read.
        """
        start = read_start(records)
        if start is None:
            return None
        position = PositionFile.acquire(records.with_suffix(".position"))
        if position is None:
            return None
        if not records.exists():  # sent and removed by somebody else, a moment ago
            position.remove()
            return None
        return cls(records, start, position, Delivery(client, start, on_progress))

    @property
    def remaining_bytes(self) -> int:
        """Bytes that the server does not have yet."""
        return max(os.fstat(self._descriptor).st_size - self._position.sent, 0)

    def advance(self) -> bool:
        """Send the next batch of metrics or the next other record.

        Returns:
            False when there is nothing to send at present.

        Raises:
            StudbookError: When it cannot be sent at present; calling again goes on there.
        """
        sent, under_way = self._position.sent, self._position.under_way
        stop = under_way if under_way > sent else None
        batch = MetricBatch()
        for raw in read_records(self._descriptor, sent, stop):
            if raw.kind == SHAPE:
                self._decoder.learn(raw.body)
            elif raw.kind == METRICS:
                keys, numbers = self._decoder.decode(raw.body)
                batch.add(keys, numbers)
                batch.end = raw.end
                if batch.points >= _MOST_POINTS:
                    break
            elif not batch.points:
                self._send_record(raw)
                return True
            else:
                break
        if not batch.points:
            return False
        self._send_metrics(batch)
        return True

    def _send_metrics(self, batch: MetricBatch) -> None:
        self._position.begin(batch.end)
        try:
            self._delivery.append_metrics(batch.end, batch.series())
        except StudbookError as error:
            self._unless_refused(error, f"{batch.points} metric points")
        self._position.done(batch.end)

    def _send_record(self, raw: RawRecord) -> None:
        record = decode(raw.kind, raw.body)
        if record is None:
            message = f"{self.records} was written by a newer version of Studbook."
            raise Unsupported(message, next_step="Upgrade Studbook and run `studbook sync`.")
        try:
            self._delivery.deliver(record)
        except StudbookError as error:
            self._unless_refused(error, _in_words(record), record)
        except OSError as error:
            self._refused(_in_words(record), str(error))
        self._position.done(raw.end)
        _remove_staged(record)
        if isinstance(record, RunEnd):
            self.end = record

    def _unless_refused(
        self, error: StudbookError, what: str, record: RunRecord | None = None
    ) -> None:
        """Decide between stopping here and going on without what the server does not want."""
        if isinstance(record, RunStart) or _may_succeed_later(error, record):
            raise error
        step = f" {error.next_step}" if error.next_step else ""
        self._refused(what, f"{error}{step}")

    def _refused(self, what: str, why: str) -> None:
        note_refusal(self.records, what, why)
        self._refusals.append(f"{what}: {why}")

    def take_refusals(self) -> list[str]:
        """What the server did not want, in words, since this was last asked."""
        taken, self._refusals = self._refusals, []
        return taken

    def is_over(self) -> bool:
        """Whether nothing will be added to the file any more."""
        return self.end is not None or not is_written(self.records)

    def close(self) -> None:
        """Let go of the file; somebody else may continue."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._position.close()

    def remove(self) -> None:
        """Delete the file: the server has all of it."""
        self.records.unlink(missing_ok=True)
        self.records.with_suffix(".refused").unlink(missing_ok=True)
        self._position.remove()
        self.close()

    def mark_killed(self, reason: str) -> None:
        """Tell the server that the process ended without a word."""
        last_us = os.fstat(self._descriptor).st_mtime_ns // 1000
        self._delivery.set_state(RunEnd("KILLED", reason, last_us))


def _may_succeed_later(error: StudbookError, record: RunRecord | None) -> bool:
    if isinstance(record, VersionWanted) and isinstance(error, PermissionDenied):
        # Whoever may train need not be one who may register; the run itself goes on.
        return False
    later = (Unauthenticated, PermissionDenied, NotFound, ServerError, Unsupported, Cancelled)
    if isinstance(record, VersionWanted) and isinstance(error, NotFound):
        return False
    if isinstance(error, LimitExceeded):
        # A message stays too large; a quota or a rate does not stay used up.
        return error.reason != "MESSAGE_TOO_LARGE"
    return isinstance(error, later) or is_passing(error)


def _remove_staged(record: RunRecord) -> None:
    if not isinstance(record, Artifacts):
        return
    for file in record.files:
        if file.staged:
            Path(file.local_path).unlink(missing_ok=True)


def _in_words(record: RunRecord) -> str:
    match record:
        case Artifacts(files):
            names = ", ".join(file.path for file in files[:3])
            return f"artifact {names}" + (" and more" if len(files) > 3 else "")
        case VersionWanted(model, version):
            return f"registration of {model}@{version}"
    return type(record).__name__.lower()
