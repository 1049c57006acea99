"""Studbook's servers in a process of their own, on free ports, for as long as the demo takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_START_TIMEOUT_S = 60
_STOP_TIMEOUT_S = 30
_TAIL_LINES = 15


class StackFailedError(RuntimeError):
    """The servers did not start; the message says why."""


@dataclass(frozen=True)
class Addresses:
    """Where the parts of the stack are."""

    gateway: str
    tracking: str
    registry: str
    people_issuer: str
    ci_issuer: str


class StackProcess:
    """Starts the servers when entered, stops them when left.

    They are started as a program and not imported: this package belongs to clients.

    Args:
        folder: An empty folder for data and logs.
    """

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._ready_file = folder / "ready.json"
        self._log = folder / "stack.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._addresses: Addresses | None = None

    @property
    def addresses(self) -> Addresses:
        """Where the parts are, once the stack was entered."""
        if self._addresses is None:
            message = "the servers were not started"
            raise RuntimeError(message)
        return self._addresses

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _start(self) -> None:
        # -P: what lies in the working directory must not be imported in place of the servers.
        command = [sys.executable, "-P", "-m", "local_stack", "--port-base", "0"]
        command += ["--data", str(self.data), "--ready-file", str(self._ready_file)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A group of its own: Ctrl-C reaches the demo, which then stops the servers.
                process_group=0,
            )
        deadline = time.monotonic() + _START_TIMEOUT_S
        while not self._ready_file.exists():
            if self._process.poll() is not None or time.monotonic() > deadline:
                message = f"The servers did not start:\n{self.log_tails()}"
                raise StackFailedError(message)
            time.sleep(0.05)
        ready = json.loads(self._ready_file.read_text())
        self._addresses = Addresses(**{name: ready[name] for name in Addresses.__annotations__})

    def stop(self) -> None:
        """Stop everything; returns when nothing is left running."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            # Its children notice that it is gone and stop by themselves.
            self._process.kill()
            self._process.wait()
        self._process = None

    def secret_file(self, client: str) -> Path:
        """The file with the secret of a client of the development issuer."""
        return self.data / "secrets" / client

    def log_tails(self) -> str:
        """The last lines of every log."""
        tails = []
        for log in (self._log, *sorted((self.data / "logs").glob("*.log"))):
            lines = log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
            tails.append("\n".join([f"--- {log.name}", *lines]))
        return "\n".join(tails)


def examples_folder() -> Path:
    """The folder `examples`, in the installed package or beside it in the repository."""
    package = Path(__file__).resolve().parent
    installed = package / "examples"
    return installed if installed.is_dir() else package.parent.parent / "examples"


def clean_environment() -> dict[str, str]:
    """This process's environment without settings that are meant for another server."""
    return {name: text for name, text in os.environ.items() if not name.startswith("STUDBOOK_")}
