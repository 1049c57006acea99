"""Beginning and ending runs: the current ones of this process, signals, forks and exit."""

from __future__ import annotations

import atexit
import logging
import os
import re
import sys
import time
import uuid
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

from studbook.address import configured_address, parse_address
from studbook.exceptions import InvalidArgument, StudbookError
from studbook.logged_values import params_of, tags_of, text_of
from studbook.record_places import open_records
from studbook.redaction import look_at_variables, without_tokens
from studbook.run_ending import ExitWatch, ending_by_signal, ending_of
from studbook.run_records import RunStart
from studbook.run_signals import SignalWatch
from studbook.shipper import Shipper
from studbook.surroundings import Surroundings
from studbook.surroundings_settings import read_settings
from studbook.workspaces import resolve_workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from studbook.client import Client
    from studbook.record_folder import RunFolder
    from studbook.run import Run
    from studbook.surroundings_settings import SurroundingsSettings

_log = logging.getLogger("studbook")

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_LABEL = re.compile(r"[a-z0-9][a-z0-9_-]{0,30}")
_MODES = ("online", "offline", "off")

_active: list[Run] = []
# What a forked process has inherited and must not tear down: it belongs to the parent.
_inherited: list[Shipper] = []


def _end_by_signal(name: str) -> None:
    for run in reversed(_active.copy()):
        run.end(ending_by_signal(name), hurried=True)


_signals = SignalWatch(_end_by_signal)
_exits = ExitWatch()


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
    attach: bool = False,
    label: str | None = None,
    system_metrics: bool | None = None,
    console: bool | None = None,
) -> Run:
    """Begin a run. Makes no network call; what is wrong with the server shows up as a warning.

    Args:
        experiment: Id of the experiment; made when missing.
        config: Parameters: a mapping (nested or not), `argparse.Namespace` or dataclass.
        name: Name for people.
        run_id: Id of the run; give one that exists to resume it. Default STUDBOOK_RUN, else a
            new one.
        tags: Free labels.
        description: What is tried and why.
        workspace: Id of the workspace; default STUDBOOK_WORKSPACE, else `main`.
        address: The server's `host:port`; default STUDBOOK_ADDRESS, else this machine.
        mode: `online`, `offline` or `off`; default STUDBOOK_MODE, else `online`.
        attach: Log into a run that another process begins and ends, as the ranks of a distributed
            training do beside the first. The surroundings are left to that process.
        label: What this process is called among those that log into the run, e.g. `rank-3`;
            default STUDBOOK_LABEL.
        system_metrics: Whether the machine's load is recorded every 15 seconds; default
            STUDBOOK_SYSTEM_METRICS, else yes.
        console: Whether what the program prints is recorded; default STUDBOOK_CONSOLE, else no.

    Returns:
        The run, which is also what `studbook.log` refers to until it is finished.

    Raises:
        InvalidArgument: When an id, the label, the address or the mode is malformed.
        NotLoggable: When config or tags cannot be recorded.
    """
    look_at_variables()
    chosen = _chosen_mode(mode)
    settings = read_settings(system_metrics=system_metrics, console=console)
    run_id = run_id or os.environ.get("STUDBOOK_RUN")
    start = RunStart(
        workspace=resolve_workspace(workspace),
        experiment=_checked_id(experiment, "experiment"),
        run_id=_checked_id(run_id, "run") if run_id else uuid.uuid4().hex,
        writer=_writer_id(label or os.environ.get("STUDBOOK_LABEL", "")),
        start_time_us=time.time_ns() // 1000,
        display_name=without_tokens(text_of(name or "", 256)),
        description=without_tokens(text_of(description, 4096)),
        tags=tags_of(tags or {}),
        address=_address(address),
        resumes=run_id is not None,
        attached=attach,
        request_id=str(uuid.uuid4()),
    )
    params = params_of(config) if config is not None else {}
    _finish_former_input()
    run = _begin(start, chosen, settings)
    run.config.update(params)
    return run


def attach_to(start: RunStart, mode: str) -> Run:
    """The run of a first record in this process: the active one, or one attached to it.

    This is what a run becomes that is handed to a process that was spawned.
    """
    for run in _active:
        if run.name == start.run:
            return run
    settings = read_settings()
    attached = replace(
        start,
        writer=_writer_id(""),
        start_time_us=time.time_ns() // 1000,
        attached=True,
        request_id=str(uuid.uuid4()),  # it is another request
    )
    return _begin(attached, mode, settings)


def _begin(start: RunStart, mode: str, settings: SurroundingsSettings) -> Run:
    from studbook.run import Run  # noqa: PLC0415 - run.py imports this module
    from studbook.run_off import OffRun  # noqa: PLC0415 - imports run.py

    opened = open_records(start) if mode != "off" else None
    if opened is None:
        run: Run = OffRun(start)
        _active.append(run)
        return run
    folder, writer = opened
    # What other processes have left is sent by the one whose run it is.
    only = start.writer if start.attached else None
    shipper = Shipper(folder, lambda: _connect(start), only) if mode == "online" else None
    sends = shipper is not None
    surroundings = Surroundings(folder, writer, start.writer, settings, sends=sends)
    run = Run(start, folder, writer, shipper, surroundings)
    _active.append(run)
    _signals.start()
    _exits.start()
    parts = [run.begin] if start.attached else [surroundings.start, run.begin]
    _begin_beside(parts, folder)
    return run


def _begin_beside(parts: Sequence[Callable[[], None]], folder: RunFolder) -> None:
    """Begin what goes on beside the training, which goes on without what cannot begin."""
    problems = []
    for begin in parts:
        try:
            begin()
        except Exception as error:  # noqa: BLE001 - no training ends for want of a record of it
            problems.append(str(error))
    if problems:
        _log.warning(
            "Studbook: not all that is recorded by itself can be: %s. What is logged is kept in "
            "%s; what is not sent when the run ends, `studbook sync` sends.",
            problems[0].rstrip("."),
            folder.path,
        )


def _finish_former_input() -> None:
    """In a notebook, where nothing else ends a run, the next one ends it."""
    if not hasattr(sys, "ps1"):
        return
    for run in reversed(_active.copy()):
        _log.warning("Studbook: %s is finished, because another run begins.", run.name)
        run.finish()


def _chosen_mode(mode: str | None) -> str:
    chosen = mode or os.environ.get("STUDBOOK_MODE") or "online"
    if chosen not in _MODES:
        message = f'"{chosen}" is not a mode; there are {", ".join(_MODES)}.'
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return chosen


def _address(explicit: str | None) -> str:
    """The server as configured; empty when it was not, or when the configuration cannot be read.

    The thread that sends will read it again, and tell what is wrong with it.

    Raises:
        InvalidArgument: When it is malformed.
    """
    try:
        configured = configured_address(explicit)
    except InvalidArgument:
        raise
    except StudbookError:
        return ""
    if configured:
        parse_address(configured)
    return configured


def _writer_id(label: str) -> str:
    if not label:
        return uuid.uuid4().hex
    if not _LABEL.fullmatch(label):
        message = (
            f'"{label[:150]}" is not a label: 1 to 31 of a-z 0-9 - _ beginning with a letter or '
            "digit."
        )
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return f"{label}-{uuid.uuid4().hex}"


def active_run() -> Run | None:
    """The run that was begun last and is not finished; None when there is none."""
    return _active[-1] if _active else None


def log(values: Mapping[str, Any], step: int | None = None) -> None:
    """Record metrics of the active run; see `Run.log`. Never raises, not even without a run."""
    if _active:
        _active[-1].log(values, step)
    else:
        _warn_without_run()


def finish(state: str = "finished", *, reason: str = "") -> None:
    """End the active run, if there is one; see `Run.finish`."""
    if _active:
        _active[-1].finish(state, reason=reason)


def no_longer_active(run: Run) -> None:
    """Forget a run that is finished."""
    if run in _active:
        _active.remove(run)
    if not _active:
        _signals.stop()
        _exits.stop()


def signal_received() -> str:
    """Name of the signal that the program got and handled itself; empty when it got none."""
    return _signals.received


@cache
def _warn_without_run() -> None:
    """Say it once."""
    _log.warning(
        "Studbook: log() is called while no run is active, and records nothing. Begin one with "
        "`studbook.init(...)`."
    )


def _checked_id(text: str, what: str) -> str:
    if not _ID.fullmatch(text):
        message = (
            f'"{text[:150]}" is not the id of a {what}: 1 to 128 of a-z 0-9 - _ . '
            "beginning with a letter or digit."
        )
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return text


def _connect(start: RunStart) -> Client:
    # What gRPC says by itself is for those who develop it, and a line for each fork among it.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    from studbook.client import Client  # noqa: PLC0415 - imports grpc; runs in the thread

    return Client(start.address or None, workspace=start.workspace)


@atexit.register
def _finish_at_exit() -> None:
    if not _active:
        return
    # Set by the interpreter for an error that nothing caught; in an interactive session it may
    # belong to any earlier input.
    uncaught = None if hasattr(sys, "ps1") else getattr(sys, "last_value", None)
    ending = ending_of(uncaught, signal_received())
    if uncaught is None and (exited := _exits.ending()):
        # A program may exit with a code of its own because of a signal.
        ending = replace(ending, exit_code=exited.exit_code) if signal_received() else exited
    for run in reversed(_active.copy()):
        run.end(ending)


def _after_fork_in_child() -> None:
    for run in _active:
        parents = run.continue_after_fork()
        if parents is not None:
            _inherited.append(parents)
    # To whoever stops a worker, a worker looks as it would without us.
    _signals.stop()


os.register_at_fork(after_in_child=_after_fork_in_child)
