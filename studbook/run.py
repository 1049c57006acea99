"""One training run, as the program that trains sees it."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING, Any, Self

from studbook.exceptions import FailedPrecondition, StudbookError, Unavailable
from studbook.file_listing import given_path
from studbook.logged_values import tags_of
from studbook.record_keeper import RecordKeeper
from studbook.run_config import RunConfig
from studbook.run_ending import Ending, ending_of, reason_of
from studbook.run_files import log_files, log_model_files, version_wanted
from studbook.run_recorder import RunRecorder
from studbook.run_records import Params, RunEnd, Tags
from studbook.run_session import (
    active_run,
    attach_to,
    finish,
    init,
    log,
    no_longer_active,
    signal_received,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from types import TracebackType

    from studbook.record_folder import RunFolder
    from studbook.record_log import RecordWriter
    from studbook.run_records import DatasetUse, ParamValue, RunStart
    from studbook.shipper import Shipper
    from studbook.surroundings import Surroundings

__all__ = ["Run", "active_run", "finish", "init", "log"]

_log = logging.getLogger("studbook")

# Without progress for so long, finish() gives up and leaves the rest to `studbook sync`.
FINISH_PATIENCE_S = 15.0
# Schedulers kill for good half a minute after they have asked, some earlier.
LONGEST_FAREWELL_S = 8.0
_STATES = ("FINISHED", "FAILED", "KILLED", "PREEMPTED")
_INT32 = range(-(2**31), 2**31)


class Run(RunRecorder):
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
        super().__init__(start, folder, writer)
        self.config = RunConfig(
            self._log_params,
            lambda change: self._warn_once(change, change),
        )
        self._shipper = shipper
        self._surroundings = surroundings
        surroundings.report_to(self._not_written)
        self._keeper = RecordKeeper(folder)
        self._preempting = False
        self._is_sent = False
        self._refusals: list[str] = []

    def _log_params(self, values: dict[str, ParamValue]) -> None:
        self._append(Params(values))

    def begin(self) -> None:
        """Start the threads that see to what is logged."""
        self._keeper.start()
        if self._shipper is not None:
            self._shipper.start()

    @property
    def refusals(self) -> list[str]:
        """What the server did not want of what was logged so far, in words."""
        return list(self._shipper.refusals if self._shipper else self._refusals)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags; those with other names stay.

        Raises:
            NotLoggable: When a key is empty, too long, or holds control characters, or there are
                more than 64.
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
        profile: bool | None = None,
    ) -> DatasetUse:
        """Record which data goes into the run. The data itself stays where it is.

        Args:
            data: A file or folder (`pathlib.Path` or text), a pattern like `data/**/*.csv`,
                bytes, a NumPy array, a mapping of columns, a table of pandas, Polars, Arrow or
                Hugging Face, or a `studbook.reference`. Every byte of it is hashed, except where
                it is a reference.
            name: Id of the dataset.
            role: What it is used for: `training`, `validation`, `test`.
            source: Where it came from; default: its path, if it is a file.
            version: Id of this state of the dataset; default: made from the digest.
            profile: Also record what the columns of a table look like (docs/datasets.md says what
                that reveals); default: yes, unless STUDBOOK_DATASET_PROFILE is `off`.

        Returns:
            Digest, schema and counts.

        Raises:
            TypeError: When the data is of a kind that has no canonical form.
        """
        from studbook.datasets import describe_dataset  # noqa: PLC0415 - not every run has one

        use = describe_dataset(
            data, name=name, role=role, source=source, version=version, profile=profile
        )
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
            InvalidArgument: When a name cannot be an artifact path, or a symbolic link leads out
                of the folder.
            Conflict: When a file changes again and again while it is copied.
            OSError: When a file cannot be read.
        """
        warn = self._warn_once if copy else None
        return self._add(log_files(self._folder, given_path(path), name, warn))

    def log_figure(self, figure: Any, path: str) -> str:
        """Store a matplotlib figure as a file; the ending of `path` says in which format.

        Raises:
            InvalidArgument: When `path` cannot be an artifact path.
            TypeError: When it is not a figure.
        """
        from studbook.run_figures import rendered  # noqa: PLC0415 - not every run has one

        self._keep_bytes(rendered(figure, path), path)
        return path

    def log_confusion_matrix(
        self,
        y_true: Iterable[Any],
        y_pred: Iterable[Any],
        labels: Iterable[Any] | None = None,
        *,
        name: str = "confusion_matrix",
    ) -> list[str]:
        """Store how often each class was taken for each other: as JSON, and with matplotlib as PNG.

        Args:
            y_true: Classes as they are.
            y_pred: Classes as predicted, in the same order.
            labels: Classes in the order of the rows; default: all that occur, sorted.
            name: Artifact path without ending.

        Raises:
            ValueError: When there are not as many predictions as classes, when `labels` misses
                one, or when there are more than 2000 classes.
            InvalidArgument: When `name` cannot be an artifact path.
        """
        from studbook.run_figures import confusion_matrix_files  # noqa: PLC0415

        paths = []
        for path, data in confusion_matrix_files(y_true, y_pred, labels, name):
            paths += self._keep_bytes(data, path)
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
        parents: Sequence[str] = (),
    ) -> list[str]:
        """Store a model, and register it if asked to.

        Args:
            model: A file or folder, or a scikit-learn estimator, which is saved with joblib.
            name: Artifact folder that it is put in.
            register_as: Id of the registered model; made when missing.
            version: Number of the version, e.g. `1.2.0`, or `next-patch`, `next-minor` or
                `next-major`; required with `register_as`.
            description: What is special about the version.
            tags: Tags of the version.
            parents: What training began from: `NAME@1.2.0` for versions of the registry,
                `URI@sha256:...` for bases from elsewhere.

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
            wanted = version_wanted(register_as, version, name, description, tags or {}, parents)
        paths = self._add(
            log_model_files(self._folder, model, name, self._warn_once, self._not_written)
        )
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
        if self._is_sent:
            return
        if self._shipper is None:
            message = f"{self.name} is not being sent by this process."
            raise FailedPrecondition(message, next_step="Send it with `studbook sync`.")
        problem = self._shipper.drain(FINISH_PATIENCE_S if timeout is None else timeout)
        if isinstance(problem, StudbookError):
            raise problem
        if problem is not None:
            raise Unavailable(f"{self.name} could not be sent: {problem}") from problem

    def mark_preempting(self) -> None:
        """Say that the program is about to make room for another, however it ends then.

        For handlers of signals with which a cluster announces it.
        """
        self._preempting = True

    def finish(
        self, state: str = "finished", *, reason: str = "", exit_code: int | None = None
    ) -> None:
        """End the run and wait, within bounds, until everything is sent. Never raises.

        What could not be sent is kept for `studbook sync`. In a process that was forked off, or
        that was attached to the run, this only ends that process's part.

        Args:
            state: `finished`, `failed`, `killed` or `preempted`.
            reason: Why it ended.
            exit_code: Exit code of the program, if it is known.
        """
        known = state if str(state).upper() in _STATES else "failed"
        code = exit_code if isinstance(exit_code, int) and exit_code in _INT32 else None
        self.end(Ending(known, reason_of(reason), code))

    def end(self, ending: Ending, *, hurried: bool = False) -> None:
        """End the run as `finish` does.

        Args:
            ending: How it ended.
            hurried: The process is about to be killed: do not wait for more than a few seconds.
        """
        if self._finished:
            return
        self._dying = hurried
        self._finished = True
        no_longer_active(self)
        if not self._attached:
            self._surroundings.finish()
            if self._preempting:
                ending = ending.as_preempted()
            self._append_end(
                RunEnd(
                    ending.state.upper(),
                    ending.reason,
                    time.time_ns() // 1000,
                    ending.exit_code,
                    ending.signal,
                )
            )
        self._keeper.stop()
        if self._writer is not None:
            self._writer.close()
        self._report(self._last_sending(LONGEST_FAREWELL_S if hurried else None))

    def _last_sending(self, longest_s: float | None) -> Exception | None:
        shipper = self._shipper
        if shipper is None:
            return None
        problem = shipper.drain(FINISH_PATIENCE_S, longest_s)
        shipper.stop()
        self._refusals = shipper.refusals
        self._shipper = None
        self._is_sent = problem is None
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
        self._keeper.abandon_after_fork()
        # Another thread may have held the lock when the process forked.
        self._opening = threading.RLock()
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
        self.end(ending_of(error, signal_received()))

    def __reduce__(self) -> tuple[Any, ...]:
        # Handed to a process that was spawned, a run goes on as one that is attached.
        return attach_to, (self._start, "offline" if self._shipper is None else "online")

    def __repr__(self) -> str:
        return f"<Run {self.name}>"
