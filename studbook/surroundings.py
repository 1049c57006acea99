"""What a run records by itself: environment, code, the machine's load, the console."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from studbook.code_patch import ARTIFACT
from studbook.code_state import PATIENCE_S, observe_code
from studbook.console_capture import ConsoleCapture
from studbook.entry_point import find_entry_point
from studbook.environment import observe_environment
from studbook.run_files import logged_bytes
from studbook.run_records import encode
from studbook.system_metrics import SystemMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

    from studbook.code_state import CodeState
    from studbook.entry_point import EntryPoint
    from studbook.record_folder import RunFolder
    from studbook.record_log import RecordWriter
    from studbook.run_records import Code, RunRecord
    from studbook.surroundings_settings import SurroundingsSettings

_log = logging.getLogger("studbook")

# So long the start of a training waits for Git, which mostly needs a tenth of it; from then on
# the files that Git looks at could be changed by the program.
_MOMENT_S = 0.5
_LONGEST_FAREWELL_S = PATIENCE_S + 5.0


class Surroundings:
    """Observes what surrounds a run, beside the training, into the run's record file.

    Nothing here raises into the training, and nothing is observed in a process that is forked off.

    Args:
        folder: The run's folder.
        writer: The run's record file.
        writer_id: Id of that file's writer.
        settings: What to record.
        sends: Whether records are sent while the program runs.
    """

    def __init__(
        self,
        folder: RunFolder,
        writer: RecordWriter,
        writer_id: str,
        settings: SurroundingsSettings,
        *,
        sends: bool,
    ) -> None:
        self._folder = folder
        self._writer = writer
        self._settings = settings
        self._not_written: Callable[[OSError], None] = lambda _: None
        self._code_is_known = threading.Event()
        self._observer: threading.Thread | None = None
        self._metrics: SystemMetrics | None = None
        self._console: ConsoleCapture | None = None
        if settings.console:
            self._console = ConsoleCapture(folder, writer_id, settings, self._append, sends=sends)

    def report_to(self, not_written: Callable[[OSError], None]) -> None:
        """Say who is told of what cannot be written, instead of nobody."""
        self._not_written = not_written

    def start(self) -> None:
        """Begin; returns as soon as the code is known, or after half a second."""
        if self._console is not None:
            self._console.start()
        if self._settings.system_metrics:
            self._metrics = SystemMetrics(self._append_metrics, self._settings.interval_s)
            self._metrics.start()
        self._observer = threading.Thread(
            target=self._observe,
            args=(find_entry_point(),),
            name="studbook-surroundings",
            daemon=True,
        )
        self._observer.start()
        self._code_is_known.wait(_MOMENT_S)

    def finish(self) -> None:
        """End; from then on all that was observed is in the record file."""
        if self._metrics is not None:
            self._metrics.stop()
        if self._observer is not None and self._observer.ident is not None:
            self._observer.join(_LONGEST_FAREWELL_S)
        if self._console is not None:
            self._console.stop()
        self._metrics, self._observer, self._console = None, None, None

    def abandon_after_fork(self) -> None:
        """Let go of everything in a child process; the parent goes on with it."""
        if self._console is not None:
            self._console.abandon_after_fork()
        self._metrics, self._observer, self._console = None, None, None

    def _observe(self, started: EntryPoint) -> None:
        try:
            self._record_code(observe_code(started))
        except Exception as error:  # noqa: BLE001 - a training must not end for want of a record
            _log.warning("Studbook: which code runs is not recorded: %s", error)
        finally:
            self._code_is_known.set()
        try:
            self._append(observe_environment())
        except Exception as error:  # noqa: BLE001 - as above
            _log.warning("Studbook: the environment is not recorded: %s", error)

    def _record_code(self, state: CodeState) -> None:
        self._append(self._with_patch_stored(state))

    def _with_patch_stored(self, state: CodeState) -> Code:
        patch = state.patch
        if patch is None or not self._settings.code_patch:
            return state.code
        if patch.left_out:
            # No warning: the patch itself says so, and a file like that mostly stays as it is.
            _log.info(
                "Studbook: the code patch leaves out files that may hold secrets: %s.",
                ", ".join(patch.left_out[:5]) + (" and more" if len(patch.left_out) > 5 else ""),
            )
        if patch.data is None:
            _log.info("Studbook: the code patch is larger than 1 MB; only its digest is kept.")
            return state.code
        try:
            self._append(logged_bytes(self._folder, patch.data, ARTIFACT))
        except OSError as error:
            self._not_written(error)
            return state.code
        return replace(state.code, diff_artifact=ARTIFACT)

    def _append(self, record: RunRecord) -> None:
        try:
            self._writer.append(*encode(record))
        except OSError as error:
            self._not_written(error)

    def _append_metrics(self, values: dict[str, float], step: int) -> None:
        now_us = time.time_ns() // 1000
        try:
            self._writer.append_metrics(tuple(values), step, now_us, values.values())
        except OSError as error:
            self._not_written(error)
