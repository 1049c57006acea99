"""Beginning and ending runs: the current ones of this process, signals, forks and exit."""

from __future__ import annotations

import atexit
import logging
import os
import re
import signal
import sys
import tempfile
import threading
import time
import traceback
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studbook.address import configured_address, resolve_address
from studbook.exceptions import FailedPrecondition, InvalidArgument
from studbook.logged_values import tags_of
from studbook.record_folder import RunFolder, records_root
from studbook.record_log import RecordWriter
from studbook.redaction import without_secrets
from studbook.run_records import RunStart, encode
from studbook.shipper import Shipper
from studbook.surroundings import Surroundings
from studbook.surroundings_settings import read_settings
from studbook.workspaces import resolve_workspace

if TYPE_CHECKING:
    from collections.abc import Mapping

    from studbook.client import Client
    from studbook.run import Run

_log = logging.getLogger("studbook")

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_MODES = ("online", "offline")
_LONGEST_REASON = 4096

_active: list[Run] = []
# What a forked process has inherited and must not tear down: it belongs to the parent.
_inherited: list[Shipper] = []


class Terminated(SystemExit):
    """SIGTERM arrived: unwinds the program as an exit would, so that it can put things away."""


_terminated = False


def init(
    experiment: str,
    *,
    config: Any = None,
    name: str | None = None,
    run_id: str | None = None,
    tags: Mapping[str, Any] | None = None,
    description: str = "",
    workspace: str | None = None,
    address: str | None = None,
    mode: str | None = None,
    system_metrics: bool | None = None,
    console: bool | None = None,
) -> Run:
    """Begin a run. Makes no network call; what is wrong with the server shows up as a warning.

    Args:
        experiment: Id of the experiment; made when missing.
        config: Parameters: a mapping (nested or not), `argparse.Namespace` or dataclass.
        name: Name for people.
        run_id: Id of the run; give one that exists to resume it. Default: a new one.
        tags: Free labels.
        description: What is tried and why.
        workspace: Id of the workspace; default STUDBOOK_WORKSPACE, else `main`.
        address: The server's `host:port`; default STUDBOOK_ADDRESS, else this machine.
        mode: `online` or `offline`; default STUDBOOK_MODE, else `online`.
        system_metrics: Whether the machine's load is recorded every 15 seconds; default
            STUDBOOK_SYSTEM_METRICS, else yes.
        console: Whether what the program prints is recorded; default STUDBOOK_CONSOLE, else no.

    Returns:
        The run, which is also what `studbook.log` refers to until it is finished.

    Raises:
        InvalidArgument: When an id, the address or the mode is malformed.
        NotLoggable: When config or tags cannot be recorded.
    """
    from studbook.run import Run  # noqa: PLC0415 - run.py imports this module

    chosen = mode or os.environ.get("STUDBOOK_MODE") or "online"
    if chosen not in _MODES:
        message = f'"{chosen}" is not a mode; there are {" and ".join(_MODES)}.'
        raise InvalidArgument(message, reason="FIELD_INVALID")
    resolve_address(address)
    settings = read_settings(system_metrics=system_metrics, console=console)
    start = RunStart(
        workspace=resolve_workspace(workspace),
        experiment=_checked_id(experiment, "experiment"),
        run_id=_checked_id(run_id, "run") if run_id else uuid.uuid4().hex,
        writer=uuid.uuid4().hex,
        start_time_us=time.time_ns() // 1000,
        display_name=(name or "")[:256],
        description=description[:4096],
        tags=tags_of(tags or {}),
        address=configured_address(address),
        resumes=run_id is not None,
        request_id=str(uuid.uuid4()),
    )
    folder, writer = _open_records(start)
    shipper = Shipper(folder, lambda: _connect(start)) if chosen == "online" else None
    sends = shipper is not None
    surroundings = Surroundings(folder, writer, start.writer, settings, sends=sends)
    run = Run(start, folder, writer, shipper, surroundings)
    surroundings.start()
    if config is not None:
        run.config.update(config)
    _active.append(run)
    _catch_sigterm()
    if shipper is not None:
        shipper.start()
    return run


def active_run() -> Run | None:
    """The run that was begun last and is not finished; None when there is none."""
    return _active[-1] if _active else None


def log(values: Mapping[str, Any], step: int | None = None) -> None:
    """Record metrics of the active run; see `Run.log`.

    Raises:
        FailedPrecondition: When no run is active.
    """
    _require_active().log(values, step)


def finish(state: str = "finished", *, reason: str = "") -> None:
    """End the active run, if there is one; see `Run.finish`."""
    if _active:
        _active[-1].finish(state, reason=reason)


def no_longer_active(run: Run) -> None:
    """Forget a run that is finished."""
    if run in _active:
        _active.remove(run)
    if not _active:
        _release_sigterm()


def ending_of(error: BaseException | None) -> tuple[str, str]:
    """State and reason of a run that is left with an exception, or without."""
    if error is None or isinstance(error, GeneratorExit):
        return "finished", ""
    if isinstance(error, Terminated):
        return "killed", "SIGTERM"
    if isinstance(error, KeyboardInterrupt):
        return "killed", "KeyboardInterrupt"
    if isinstance(error, SystemExit):
        if error.code in {None, 0}:
            return "finished", ""
        return "failed", without_secrets(f"exit code {error.code}")[:_LONGEST_REASON]
    lines = traceback.format_exception_only(error)
    return "failed", without_secrets("".join(lines).strip())[:_LONGEST_REASON]


def _require_active() -> Run:
    if not _active:
        message = "No run is active."
        raise FailedPrecondition(message, next_step="Begin one with `studbook.init(...)`.")
    return _active[-1]


def _checked_id(text: str, what: str) -> str:
    if not _ID.fullmatch(text):
        message = (
            f'"{text[:150]}" is not the id of a {what}: 1 to 128 of a-z 0-9 - _ . '
            "beginning with a letter or digit."
        )
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return text


def _open_records(start: RunStart) -> tuple[RunFolder, RecordWriter]:
    """The run's folder and a new record file in it; elsewhere when it cannot be written to."""
    folder = RunFolder.of(start.run, records_root())
    try:
        folder.make()
        return folder, RecordWriter(folder.records_of(start.writer), *encode(start))
    except OSError as error:
        fallback = RunFolder.of(start.run, Path(tempfile.mkdtemp(prefix="studbook-")))
        _log.warning(
            "Studbook: %s cannot be written to (%s); records go to %s. What is not sent when the "
            "run ends can be sent with `STUDBOOK_DIR=%s studbook sync`.",
            folder.path,
            error.strerror or error,
            fallback.path,
            fallback.path.parent,
        )
        fallback.make()
        return fallback, RecordWriter(fallback.records_of(start.writer), *encode(start))


def _connect(start: RunStart) -> Client:
    from studbook.client import Client  # noqa: PLC0415 - imports grpc; runs in the thread

    return Client(start.address or None, workspace=start.workspace)


def _catch_sigterm() -> None:
    """Turn SIGTERM into an orderly exit, unless the program deals with it itself."""
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _on_sigterm)


def _release_sigterm() -> None:
    if threading.current_thread() is not threading.main_thread():
        return
    if signal.getsignal(signal.SIGTERM) is _on_sigterm:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _on_sigterm(number: int, frame: object) -> None:
    global _terminated  # noqa: PLW0603 - a handler has no other way to leave word
    _terminated = True
    raise Terminated(128 + number)


@atexit.register
def _finish_at_exit() -> None:
    if not _active:
        return
    # Set by the interpreter for an error that nothing caught; in an interactive session it may
    # belong to any earlier input.
    uncaught = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
    state, reason = ("killed", "SIGTERM") if _terminated else ending_of(uncaught)
    for run in reversed(_active.copy()):
        run.finish(state, reason=reason)


def _after_fork_in_child() -> None:
    for run in _active:
        parents = run.continue_after_fork()
        if parents is not None:
            _inherited.append(parents)
    # To whoever stops a worker, a worker looks as it would without us.
    _release_sigterm()


os.register_at_fork(after_in_child=_after_fork_in_child)
