"""The side of a run that writes: metrics and other records into the run's record file."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from studbook.client_settings import ClientSettings
from studbook.logged_values import NotLoggable, metrics_of, step_number
from studbook.run_records import Artifacts, encode

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from studbook.record_folder import RunFolder
    from studbook.record_log import RecordWriter
    from studbook.run_records import RunEnd, RunRecord, RunStart

_log = logging.getLogger("studbook")

_MOST_KEYS_A_RECORD = 1000
_MOST_FILES_A_RECORD = 1000
# A program that invents new keys all the time must not fill the memory with them.
_MOST_CHECKED = 4096
_MOST_WARNINGS = 1000
_MOMENT_S = 0.2
_LAST_STEP = 2**63 - 1


class RunRecorder:
    """Writes down what a run logs. Safe to use from several threads; nothing here raises.

    Args:
        start: The run's first record.
        folder: The run's folder.
        writer: The run's record file.
    """

    def __init__(self, start: RunStart, folder: RunFolder, writer: RecordWriter | None) -> None:
        self._start = start
        self._folder = folder
        self._writer = writer
        self._opening = threading.RLock()
        # Names that were found to be good, and whether `struct` takes their values as they are.
        self._checked: dict[tuple[str, ...], bool] = {}
        self._warned: set[str] = set()
        self._next_step = 0
        self._lost = 0
        self._lost_lately = 0
        self._finished = False
        self._dying = False
        self._attached = start.attached

    @property
    def name(self) -> str:
        """Resource name, `workspaces/{workspace}/experiments/{experiment}/runs/{run}`."""
        return self._start.run

    @property
    def id(self) -> str:
        """Last segment of the name."""
        return self._start.run_id

    @property
    def experiment(self) -> str:
        """Id of the experiment."""
        return self._start.experiment

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Record one value for each metric; never blocks, never raises.

        Images, tables and histograms among the values become artifacts of the run, under
        `media/{key}/{step}`; see `studbook.media`.

        Args:
            values: Numbers by name; mappings may be nested, their keys are joined with `/`.
            step: Where in the training; in any order. Default: one more than the highest so far.
        """
        if step is None:
            step = self._next_step
        try:
            if self._log_fast(values, step):
                return
        except OSError as error:
            self._not_written(error)
            return
        except Exception:  # noqa: BLE001, S110 - the careful way says what is wrong
            pass
        try:
            self._log_carefully(values, step)
        except OSError as error:
            self._not_written(error)
        except Exception as error:  # noqa: BLE001 - logging must not end a training
            kind = "" if isinstance(error, NotLoggable) else f"{type(error).__name__}: "
            self._warn_once(str(error)[:40], f"log() ignored a call: {kind}{error}")

    def _log_fast(self, values: Mapping[str, Any], step: Any) -> bool:
        """Record values whose names are known; returns whether they were.

        Names are looked at once; after that, packing itself tells whether all are numbers.
        """
        # Going through other mappings may take for ever; the careful way stops somewhere.
        if type(step) is not int or self._writer is None or not isinstance(values, dict):
            return False
        names: tuple[str, ...] = tuple(values)
        numbers: Iterable[Any] = values.values()
        are_plain = self._checked.get(names)
        if are_plain is None:
            names, numbers = _spread(values)
            are_plain = self._checked.get(names)
            if are_plain is None:
                return False
        if not are_plain:
            # A tensor that takes part in training would remark on being made a number.
            numbers = [value.item() if hasattr(value, "item") else value for value in numbers]
        self._writer.append_metrics(names, step, time.time_ns() // 1000, numbers)
        if step >= self._next_step:
            self._next_step = min(step + 1, _LAST_STEP)
        return True

    def _log_carefully(self, values: Mapping[str, Any], step: Any) -> None:
        number = step_number(step)
        sorted_out = metrics_of(values)
        for key, problem in sorted_out.problems.items():
            self._warn_once(key[:80], f"log() left a value out: {problem}")
        writer = self._open_writer()
        if writer is None:
            return
        time_us = time.time_ns() // 1000
        names = tuple(sorted_out.numbers)
        for first in range(0, len(names), _MOST_KEYS_A_RECORD):
            part = names[first : first + _MOST_KEYS_A_RECORD]
            found = [sorted_out.numbers[name] for name in part]
            writer.append_metrics(part, number, time_us, found)
        self._next_step = min(max(self._next_step, number + 1), _LAST_STEP)
        if sorted_out.media:
            self._log_media(sorted_out.media, number)
        self._written()
        others = sorted_out.problems or sorted_out.media
        if 0 < len(names) <= _MOST_KEYS_A_RECORD and not others:
            if len(self._checked) >= _MOST_CHECKED:
                self._checked.clear()
            self._checked[names] = sorted_out.are_plain

    def _log_media(self, media: Mapping[str, Any], step: int) -> None:
        from studbook.media_files import media_file  # noqa: PLC0415 - not every run has one

        for key, value in media.items():
            try:
                file = media_file(key, step, value)
                for remark in file.remarks:
                    self._warn_once(f"{key[:80]} {remark[:20]}", f"{key}: {remark}")
                self._keep_bytes(file.data, file.path, file.media_type)
            except NotLoggable as error:
                self._warn_once(key[:80], f"log() left a value out: {error}")

    def _append(self, record: RunRecord) -> bool:
        """Write a record down; returns whether it is written."""
        try:
            writer = self._open_writer()
            if writer is None:
                return False
            writer.append(*encode(record))
        except OSError as error:
            self._not_written(error)
            return False
        self._written()
        return True

    def _append_end(self, end: RunEnd) -> None:
        if self._writer is None:
            return
        try:
            self._writer.append(*encode(end))
        except OSError:
            # Most likely the disk is full, which may be just why the run ends.
            self._folder.chain(self._start.writer).free_reserve()
            try:
                self._writer.append(*encode(end))
            except OSError:
                self._lost += 1

    def _add(self, files: Artifacts) -> list[str]:
        added = []
        for first in range(0, len(files.files), _MOST_FILES_A_RECORD):
            part = files.files[first : first + _MOST_FILES_A_RECORD]
            if self._append(Artifacts(part)):
                added += [file.path for file in part]
        return added

    def _keep_bytes(self, data: bytes, path: str, media_type: str = "") -> list[str]:
        from studbook.run_files import logged_bytes  # noqa: PLC0415 - not every run has one

        try:
            return self._add(logged_bytes(self._folder, data, path, media_type))
        except OSError as error:
            self._not_written(error)
            return []

    def _open_writer(self) -> RecordWriter | None:
        if self._dying:
            # A signal ends the process, in a moment that a busy loop would only draw out.
            time.sleep(_MOMENT_S)
            return None
        if self._finished:
            self._warn_once("finished", f"{self.name} is finished; what is logged now is ignored")
            return None
        with self._opening:
            if self._writer is None:
                writer_id = uuid.uuid4().hex
                start = replace(self._start, writer=writer_id, attached=True)
                segment_bytes = ClientSettings.from_environment().segment_bytes
                self._writer = self._folder.chain(writer_id).open(start, segment_bytes)
            return self._writer

    def _not_written(self, error: OSError) -> None:
        if self._finished:
            return  # by another thread, in the middle of this call
        self._lost += 1
        self._lost_lately += 1
        # The careful way tells when records can be written again.
        self._checked.clear()
        self._warn_once(
            "not written",
            f"records cannot be written to {self._folder.path}: {error.strerror or error}. "
            "Training goes on; what is logged meanwhile is lost.",
        )

    def _written(self) -> None:
        if self._lost_lately:
            self._warn_once(
                "written again",
                f"records are written again; {self._lost_lately} were lost in between.",
            )
            self._lost_lately = 0

    def _warn_once(self, about: str, message: str) -> None:
        if about not in self._warned and len(self._warned) < _MOST_WARNINGS:
            self._warned.add(about)
            _log.warning("Studbook: %s", message)


def _spread(values: Mapping[str, Any]) -> tuple[tuple[str, ...], list[Any]]:
    """Names and values of mappings that are nested once, as they mostly are if at all."""
    names: list[str] = []
    numbers: list[Any] = []
    for key, value in values.items():
        if type(value) is dict:
            names += [f"{key}/{inner}" for inner in value]
            numbers += value.values()
        else:
            names.append(key)
            numbers.append(value)
    return tuple(names), numbers
