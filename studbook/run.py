"""One training run, as the program that trains sees it."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from studbook.exceptions import FailedPrecondition, StudbookError, Unavailable
from studbook.logged_values import metrics_of, step_number, tags_of
from studbook.record_log import RecordWriter
from studbook.run_config import RunConfig
from studbook.run_files import log_files, log_model_files, logged_bytes, version_wanted
from studbook.run_records import Params, RunEnd, RunStart, Tags, encode
from studbook.run_session import active_run, ending_of, finish, init, log, no_longer_active

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType

    from studbook.record_folder import RunFolder
    from studbook.run_records import Artifacts, DatasetUse, RunRecord
    from studbook.shipper import Shipper
    from studbook.surroundings import Surroundings

__all__ = ["Run", "active_run", "finish", "init", "log"]

_log = logging.getLogger("studbook")

# Without progress for so long, finish() gives up and leaves the rest to `studbook sync`.
FINISH_PATIENCE_S = 15.0
_MOST_KEYS_A_RECORD = 1000
_STATES = ("FINISHED", "FAILED", "KILLED", "PREEMPTED")


class Run:
    """One training run. Made with `studbook.init`; safe to use from several threads.

    Nothing here waits for the network: what is logged is appended to a local file before the
    call returns, and sent by a thread. A process that is forked off may go on logging to the run.

    Attributes:
        config: The parameters; more can be added with `run.config.update`.
    """

    def __init__(
        self,
        start: RunStart,
        folder: RunFolder,
        writer: RecordWriter,
        shipper: Shipper | None,
        surroundings: Surroundings,
    ) -> None:
        self.config = RunConfig(
            lambda values: self._append(Params(values)),
            lambda change: self._warn_once(change, change),
        )
        self._start = start
        self._folder = folder
        self._writer: RecordWriter | None = writer
        self._shipper = shipper
        self._surroundings = surroundings
        self._opening = threading.Lock()
        self._checked: set[tuple[Any, ...]] = set()
        self._warned: set[str] = set()
        self._next_step = 0
        self._lost = 0
        self._finished = False
        self._attached = False
        self._refusals: list[str] = []

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

    @property
    def refusals(self) -> list[str]:
        """What the server did not want of what was logged so far, in words."""
        return list(self._shipper.refusals if self._shipper else self._refusals)

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Record one value for each metric; never blocks, never raises.

        Args:
            values: Numbers by name; mappings may be nested, their keys are joined with `/`.
            step: Where in the training; in any order. Default: one more than the highest so far.
        """
        if step is None:
            step = self._next_step
        try:
            keys = tuple(values)
            # Names are looked at once; after that, packing itself tells whether all are numbers.
            if keys in self._checked and self._writer is not None:
                time_us = time.time_ns() // 1000
                self._writer.append_metrics(keys, step, time_us, values.values())
                if step >= self._next_step:
                    self._next_step = step + 1
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
            self._warn_once(str(error)[:40], f"log() ignored a call: {error}")

    def _log_carefully(self, values: Mapping[str, Any], step: Any) -> None:
        number = step_number(step)
        good, problems = metrics_of(values)
        names = tuple(good)
        for key, problem in problems.items():
            self._warn_once(key[:80], f"log() left a value out: {problem}")
        writer = self._open_writer()
        if writer is None:
            return
        time_us = time.time_ns() // 1000
        for first in range(0, len(names), _MOST_KEYS_A_RECORD):
            part = names[first : first + _MOST_KEYS_A_RECORD]
            writer.append_metrics(part, number, time_us, [good[name] for name in part])
        self._next_step = max(self._next_step, number + 1)
        if names == tuple(values) and len(names) <= _MOST_KEYS_A_RECORD:
            self._checked.add(names)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; those with other names stay.

        Raises:
            NotLoggable: When a key is empty, too long, or holds control characters.
        """
        self._append(Tags(tags_of(tags)))

    def use_dataset(
        self,
        data: Any,
        *,
        name: str,
        role: str = "training",
        source: str | None = None,
        version: str = "",
    ) -> DatasetUse:
        """Record which data goes into the run. The data itself stays where it is.

        Args:
            data: A file or folder (`pathlib.Path` or text), bytes, a NumPy array, a mapping of
                columns, or a pandas frame or series. Every byte of it is hashed.
            name: Id of the dataset.
            role: What it is used for: `training`, `validation`, `test`.
            source: Where it came from; default: its path, if it is a file.
            version: Id of this state of the dataset; default: made from the digest.

        Returns:
            Digest, schema and counts.

        Raises:
            TypeError: When the data is of a kind that has no canonical form.
        """
        from studbook.datasets import describe_dataset  # noqa: PLC0415 - not every run has one

        use = describe_dataset(data, name=name, role=role, source=source, version=version)
        self._append(use)
        return use

    def log_artifact(
        self, path: Path | str, name: str | None = None, *, copy: bool = True
    ) -> list[str]:
        """Store a file, or a folder with everything below it, with the run.

        The bytes count as they are now: they are copied to the record folder before the call
        returns, and sent from there.

        Args:
            path: File or folder.
            name: Artifact path; default: its own name.
            copy: False: only note digest and place; the file must then stay as it is until it
                is sent.

        Returns:
            The artifact paths.

        Raises:
            NotFound: When there is nothing at `path`.
            InvalidArgument: When a name cannot be an artifact path.
        """
        return self._add(log_files(self._folder, Path(path), name, copy=copy))

    def log_figure(self, figure: Any, path: str) -> str:
        """Store a matplotlib figure as a file; the ending of `path` says in which format."""
        from studbook.run_figures import rendered  # noqa: PLC0415 - not every run has one

        return self._add(logged_bytes(self._folder, rendered(figure, path), path))[0]

    def log_confusion_matrix(
        self,
        y_true: Sequence[Any],
        y_pred: Sequence[Any],
        labels: Sequence[Any] | None = None,
        *,
        name: str = "confusion_matrix",
    ) -> list[str]:
        """Store how often each class was taken for each other: as JSON, and with matplotlib as PNG.

        Args:
            y_true: Classes as they are.
            y_pred: Classes as predicted, in the same order.
            labels: Classes in the order of the rows; default: all that occur, sorted.
            name: Artifact path without ending.
        """
        from studbook.run_figures import confusion_matrix_files  # noqa: PLC0415

        paths = []
        for path, data in confusion_matrix_files(y_true, y_pred, labels, name):
            paths += self._add(logged_bytes(self._folder, data, path))
        return paths

    def log_model(
        self,
        model: Any,
        *,
        name: str = "model",
        register_as: str | None = None,
        version: str | None = None,
        description: str = "",
        tags: Mapping[str, Any] | None = None,
    ) -> list[str]:
        """Store a model, and register it if asked to.

        Args:
            model: A file or folder, or a scikit-learn estimator, which is saved with joblib.
            name: Artifact folder that it is put in.
            register_as: Id of the registered model; made when missing.
            version: Number of the version, e.g. `1.2.0`; required with `register_as`.
            description: What is special about the version.
            tags: Tags of the version.

        Returns:
            The artifact paths. A version is registered when the files have been sent; a refusal
            is reported then, and stands in `refusals`. To have it raised instead, call
            `studbook.model_registry.register`.

        Raises:
            InvalidArgument: When only one of `register_as` and `version` is given, or one is not
                well-formed.
            TypeError: When the model is of a kind that cannot be saved.
        """
        wanted = None
        if register_as is not None or version is not None:
            wanted = version_wanted(register_as, version, name, description, tags or {})
        paths = self._add(log_model_files(self._folder, model, name))
        if wanted is not None:
            self._append(wanted)
        return paths

    def flush(self, timeout: float | None = None) -> None:
        """Wait until the server has everything that was logged so far.

        Args:
            timeout: Seconds without progress after which to give up; default 15.

        Raises:
            FailedPrecondition: In offline mode, or in a process that was forked off.
            StudbookError: What stands in the way.
        """
        if self._shipper is None:
            message = f"{self.name} is not being sent by this process."
            raise FailedPrecondition(message, next_step="Send it with `studbook sync`.")
        problem = self._shipper.drain(FINISH_PATIENCE_S if timeout is None else timeout)
        if isinstance(problem, StudbookError):
            raise problem
        if problem is not None:
            raise Unavailable(f"{self.name} could not be sent: {problem}") from problem

    def finish(self, state: str = "finished", *, reason: str = "") -> None:
        """End the run and wait, within bounds, until everything is sent. Never raises.

        What could not be sent is kept for `studbook sync`. In a process that was forked off this
        only ends that process's part.

        Args:
            state: `finished`, `failed`, `killed` or `preempted`.
            reason: Why it ended.
        """
        if self._finished:
            return
        self._finished = True
        no_longer_active(self)
        if not self._attached:
            self._surroundings.finish()
            known = state.upper() if state.upper() in _STATES else "FAILED"
            ended_us = time.time_ns() // 1000
            self._append(RunEnd(known, reason[:4096], ended_us), even_if_finished=True)
        if self._writer is not None:
            self._writer.close()
        self._report(self._last_sending())

    def _last_sending(self) -> Exception | None:
        shipper = self._shipper
        if shipper is None:
            return None
        problem = shipper.drain(FINISH_PATIENCE_S)
        shipper.stop()
        self._refusals = shipper.refusals
        self._shipper = None
        return problem

    def _report(self, problem: Exception | None) -> None:
        if self._lost:
            _log.warning("Studbook: %d records of %s could not be written.", self._lost, self.name)
        if problem is not None:
            _log.warning(
                "Studbook: %s is not sent completely: %s. The rest is kept in %s; "
                "`studbook sync` sends it.",
                self.name,
                str(problem).rstrip("."),
                self._folder.path,
            )

    def _append(self, record: RunRecord, *, even_if_finished: bool = False) -> None:
        try:
            writer = self._writer if even_if_finished else self._open_writer()
            if writer is not None:
                writer.append(*encode(record))
        except OSError as error:
            self._not_written(error)

    def _add(self, files: Artifacts) -> list[str]:
        if files.files:
            self._append(files)
        return [file.path for file in files.files]

    def _open_writer(self) -> RecordWriter | None:
        if self._finished:
            self._warn_once("finished", f"{self.name} is finished; what is logged now is ignored")
            return None
        with self._opening:
            if self._writer is None:
                writer_id = uuid.uuid4().hex
                start = replace(self._start, writer=writer_id, attached=True)
                self._writer = RecordWriter(self._folder.records_of(writer_id), *encode(start))
            return self._writer

    def _not_written(self, error: OSError) -> None:
        self._lost += 1
        self._warn_once(
            "not written",
            f"records cannot be written to {self._folder.path}: {error.strerror or error}. "
            "Training goes on; what is logged meanwhile is lost.",
        )

    def _warn_once(self, about: str, message: str) -> None:
        if about not in self._warned and len(self._warned) < 1000:
            self._warned.add(about)
            _log.warning("Studbook: %s", message)

    def continue_after_fork(self) -> Shipper | None:
        """Become, in a child process, a writer of one's own to the same run.

        Returns:
            What belongs to the parent and must not be torn down here.
        """
        parents = self._shipper
        if self._writer is not None:
            self._writer.abandon_after_fork()
        if parents is not None:
            parents.close_after_fork()
        self._surroundings.abandon_after_fork()
        # Another thread may have held the lock when the process forked.
        self._opening = threading.Lock()
        self._writer, self._shipper, self._attached = None, None, True
        return parents

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        state, reason = ending_of(error)
        self.finish(state, reason=reason)

    def __repr__(self) -> str:
        return f"<Run {self.name}>"
