"""Sending one chain of record files, in order: nothing is lost and nothing counts twice."""

from __future__ import annotations

import base64
import logging
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from studbook.client_settings import ClientSettings
from studbook.console_capture import console_folder, logged_console
from studbook.console_file import remove_console
from studbook.delivery import Delivery
from studbook.exceptions import StudbookError, Unsupported
from studbook.metric_batches import MetricBatch, encoded_request
from studbook.process_room import end_of_program, is_end_of_program
from studbook.record_blocks import MetricRows, read_blocks
from studbook.record_chain import read_start
from studbook.record_folder import RunFolder
from studbook.record_log import METRICS, SHAPE, MetricDecoder, learn_shapes
from studbook.record_position import PositionFile, note_refusal
from studbook.run_records import Artifacts, RunEnd, RunStart, VersionWanted, decode
from studbook.second_attempts import (
    is_refusal,
    is_worth_dividing,
    lasting_limit,
    takes_some_metrics,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from studbook.client import Client
    from studbook.metric_batches import Series
    from studbook.record_chain import RecordChain
    from studbook.record_log import RawRecord
    from studbook.run_records import RunRecord

_log = logging.getLogger("studbook")

# What is left of a batch when the series with the refused points has been found.
_POINTS_A_PART = 1000


@dataclass(frozen=True)
class Refusal:
    """What the server did not want.

    Attributes:
        what: What it was.
        why: The server's words.
        limit: Name of the limit that it goes beyond, as all that follows will; else empty.
    """

    what: str
    why: str
    limit: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


class Shipment:
    """One chain on its way to the server. Made with `acquire`.

    Attributes:
        chain: The record files.
        start: Their first record.
        end: Their last record, once that has been sent; None before.
    """

    def __init__(
        self, chain: RecordChain, start: RunStart, position: PositionFile, delivery: Delivery
    ) -> None:
        self.chain = chain
        self.start = start
        self.end: RunEnd | None = None
        self._refusals: list[Refusal] = []
        self._attempts = 0
        self._position = position
        self._delivery = delivery
        self._most_points = ClientSettings.from_environment().points_per_batch
        self._segment, self._base = start.segment, start.base
        self._descriptor = _open(chain.segment(start.segment))
        self._decoder = learn_shapes(self._descriptor, max(position.sent - start.base, 0))

    @classmethod
    def acquire(
        cls, client: Client, chain: RecordChain, on_progress: Callable[[], None] = lambda: None
    ) -> Self | None:
        """Take charge of a chain; None when another process has, or when it has nothing to say.

        Raises:
            OSError: When it cannot be read.
        """
        if chain.start() is None:
            return None
        position = PositionFile.acquire(chain.position)
        if position is None:
            return None
        start = chain.start()  # nobody else removes segments from now on
        if start is None:  # sent and removed by somebody else, a moment ago
            position.remove()
            return None
        if position.sent < start.base:
            position.done(start.base)
        delivery = Delivery(client, start, RunFolder(chain.folder), on_progress)
        return cls(chain, start, position, delivery)

    @property
    def is_begun(self) -> bool:
        """Whether the server knows of the run."""
        return self._position.sent > 0

    @property
    def remaining_bytes(self) -> int:
        """Bytes that the server does not have yet."""
        ahead = sum(path.stat().st_size for path in self.chain.segments())
        return max(ahead - (self._position.sent - self._base), 0)

    def advance(self) -> bool:
        """Send the next batch of metrics or the next other record.

        Returns:
            False when there is nothing to send at present.

        Raises:
            StudbookError: When it cannot be sent at present; calling again goes on there.
        """
        # Looked for first: once there is a next segment nothing more comes in this one.
        following = self.chain.segment(self._segment + 1)
        ends_here = following.exists()
        if self._advance_here():
            self._attempts = 0
            return True
        return ends_here and self._go_on_in(following)

    def _advance_here(self) -> bool:
        sent, under_way = self._position.sent, self._position.under_way
        stop = under_way - self._base if under_way > sent else None
        batch = MetricBatch(self._most_points)
        for block in read_blocks(self._descriptor, sent - self._base, stop):
            if isinstance(block, MetricRows):
                if not batch.add_rows(self._decoder.keys(block.shape), block) or batch.is_full:
                    break
            elif block.kind == SHAPE:
                self._decoder.learn(block.body)
            elif block.kind == METRICS:
                if not batch.add(*self._decoder.decode(block.body), block.end) or batch.is_full:
                    break
            elif batch.points:
                break
            else:
                self._send_record(block)
                return True
        if not batch.points:
            return False
        self._send_metrics(batch)
        return True

    def _go_on_in(self, following: Path) -> bool:
        start = read_start(following)
        if start is None:
            return False
        finished = self.chain.segment(self._segment)
        os.close(self._descriptor)
        self._descriptor = _open(following)
        self._segment, self._base = start.segment, start.base
        self._decoder = MetricDecoder()
        self._position.done(start.base)
        finished.unlink(missing_ok=True)
        return True

    def _send_metrics(self, batch: MetricBatch) -> None:
        end = self._base + batch.end
        self._position.begin(end)
        series = batch.series()
        try:
            self._append(end, series)
        except StudbookError as error:
            if _are_parts_taken(error, series):
                self._append_in_parts(end, series)
            else:
                self._unless_refused(error)
                self._refuse_points(series, error)
        self._position.done(end)

    def _append(self, sequence: int, series: list[Series]) -> None:
        request = encoded_request(self.start.run, self.start.writer, sequence, series)
        self._delivery.append_metrics(request)

    def _append_in_parts(self, end: int, series: list[Series]) -> None:
        """Send what is good of a batch of which something is not, or that is too much.

        The parts take the numbers before that of the batch. There are enough, because each point
        takes several bytes in the file, and in each attempt they are the same.
        """
        parts = [part for one in series for part in one.parts(_POINTS_A_PART)]
        first = end - len(parts)
        # Halves of what is refused, until it is taken or is one part alone; in order.
        waiting = [(0, len(parts))]
        while waiting:
            begin, stop = waiting.pop()
            try:
                self._append(first + stop - 1, parts[begin:stop])
            except StudbookError as error:
                if stop - begin > 1 and _are_parts_taken(error, parts[begin:stop]):
                    middle = (begin + stop) // 2
                    waiting += [(middle, stop), (begin, middle)]
                else:
                    self._unless_refused(error)
                    self._refuse_points(parts[begin:stop], error)

    def _refuse_points(self, series: list[Series], error: StudbookError) -> None:
        points = sum(map(len, series))
        keys = ", ".join(one.key for one in series[:3]) + (" and more" if len(series) > 3 else "")
        request = encoded_request(self.start.run, self.start.writer, 1, series)
        content = {"append_metrics_request": base64.b64encode(request).decode()}
        refusal = Refusal(f"{points} points of {keys}", _words(error), lasting_limit(error))
        self._refused(refusal, content)

    def _send_record(self, raw: RawRecord) -> None:
        content: dict[str, Any] = {"kind": raw.kind, "record": raw.body.decode(errors="replace")}
        end = self._base + raw.end
        record, what = None, "record"
        try:
            record = decode(raw.kind, raw.body)
            what = _in_words(record)
            self._deliver(record)
        except StudbookError as error:
            self._unless_refused(error, record)
            self._refused(Refusal(what, _words(error), lasting_limit(error)), content)
        except Exception as error:
            if is_end_of_program(error):
                # Nothing is wrong with the record: a sync sends it.
                raise end_of_program() from error
            if isinstance(record, RunStart):
                raise
            self._refused(Refusal(what, f"{type(error).__name__}: {error}"), content)
        else:
            self._remove_staged(record)
        self._position.done(end)
        if isinstance(record, RunEnd):
            self.end = record

    def _deliver(self, record: RunRecord | None) -> None:
        if record is None:
            message = f"A record of {self.chain.folder} was written by a newer version of Studbook."
            raise _OfNewerVersion(message, next_step="Upgrade Studbook and run `studbook sync`.")
        if isinstance(record, RunStart) and record.segment:
            return  # only the first segment begins the run
        self._delivery.deliver(record)

    def _remove_staged(self, record: RunRecord | None) -> None:
        for file in record.files if isinstance(record, Artifacts) else ():
            if file.staged:
                RunFolder(self.chain.folder).staged(file.digest).unlink(missing_ok=True)

    def _unless_refused(self, error: StudbookError, record: RunRecord | None = None) -> None:
        """Stop here unless the error is the server's last word on the record.

        Without its beginning nothing else of a run can be sent; so that is tried for ever.
        """
        self._attempts += 1
        if isinstance(record, RunStart) or isinstance(error, _OfNewerVersion):
            raise error
        if not is_refusal(error, self._attempts):
            raise error

    def _refused(self, refusal: Refusal, content: dict[str, Any]) -> None:
        note_refusal(self.chain.refused, refusal.what, refusal.why, content)
        self._delivery.progressed()
        self._refusals.append(refusal)

    def take_refusals(self) -> list[Refusal]:
        """What the server did not want, since this was last asked."""
        taken, self._refusals = self._refusals, []
        return taken

    def is_over(self) -> bool:
        """Whether nothing will be added to the chain any more."""
        return self.end is not None or not self.chain.is_written(self._segment)

    def close(self) -> None:
        """Let go of the files; somebody else may continue."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._position.close()

    def remove(self) -> None:
        """Delete the files: the server has all of them. What it refused stays."""
        self.chain.remove()
        self._position.remove()
        self.close()

    def send_console(self) -> None:
        """Send what the process had printed, if it died before it could log that itself.

        Raises:
            StudbookError: When it cannot be sent at present.
            OSError: When it cannot be read.
        """
        place = RunFolder(self.chain.folder)
        if self.end is None and (console := logged_console(place, self.chain.writer)):
            try:
                self._delivery.deliver(console)
            except StudbookError as error:
                self._unless_refused(error, console)
                self._refused(Refusal(_in_words(console), _words(error)), {})
            else:
                self._remove_staged(console)
        remove_console(console_folder(place, self.chain.writer))

    def heartbeat(self) -> None:
        """Tell the server that the program is alive.

        Raises:
            StudbookError: When the server cannot be told.
        """
        self._delivery.heartbeat()

    def mark_killed(self, reason: str) -> None:
        """Tell the server that the process ended without a word."""
        last_us = os.fstat(self._descriptor).st_mtime_ns // 1000
        self._delivery.set_state(RunEnd("KILLED", reason, last_us))


class _OfNewerVersion(Unsupported):
    """A record that only a newer version of this package can read."""


def _open(segment: Path) -> int:
    return os.open(segment, os.O_RDONLY | os.O_CLOEXEC)


def _are_parts_taken(error: StudbookError, series: list[Series]) -> bool:
    keys = {one.key for one in series}
    return is_worth_dividing(error) or takes_some_metrics(error, len(keys))


def _words(error: StudbookError) -> str:
    return f"{error} {error.next_step}".rstrip()


def _in_words(record: RunRecord | None) -> str:
    match record:
        case Artifacts(files):
            names = ", ".join(file.path for file in files[:3])
            return f"artifact {names}" + (" and more" if len(files) > 3 else "")
        case VersionWanted(model, version):
            return f"registration of {model}@{version}"
        case None:
            return "record"
    return type(record).__name__.lower()
