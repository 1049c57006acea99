"""MLflow beside us: installed into an environment of its own, served, and measured by programs.

Its client runs in its own environment too, so a measurement is a program, given as text, that
prints one JSON object. The environment is kept for the next time, in the user's cache folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
import venv
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from local_stack.ports import Ports

if TYPE_CHECKING:
    from collections.abc import Sequence

REQUIREMENT = "mlflow>=3,<4"
_INSTALL_TIMEOUT_S = 900
_START_TIMEOUT_S = 120
_PROGRAM_TIMEOUT_S = 300
_QUIET = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
}


class PeerUnavailableError(Exception):
    """The peer cannot be installed or started here; the message says why."""


def cache_folder() -> Path:
    """Where the environment is kept."""
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(caches) / "studbook-bench"


def installed(folder: Path | None = None) -> Path:
    """The peer's own environment, made if need be.

    Raises:
        PeerUnavailableError: It cannot be installed.
    """
    environment = (folder or cache_folder()) / "mlflow"
    done = environment / "installed"
    if done.exists():
        return environment
    print(f"Installing {REQUIREMENT} into {environment} ...", file=sys.stderr)
    venv.create(environment, with_pip=True, clear=True)
    command = [str(environment / "bin" / "pip"), "install", "--quiet", REQUIREMENT]
    try:
        subprocess.run(  # noqa: S603 - our own environment's
            command, check=True, capture_output=True, timeout=_INSTALL_TIMEOUT_S
        )
    except subprocess.CalledProcessError as error:
        message = f"{REQUIREMENT} cannot be installed: {error.stderr.decode().strip()[-300:]}"
        raise PeerUnavailableError(message) from error
    except (OSError, subprocess.TimeoutExpired) as error:
        message = f"{REQUIREMENT} cannot be installed: {error}"
        raise PeerUnavailableError(message) from error
    done.touch()
    return environment


class Peer:
    """A tracking server of the peer on SQLite, with files moved through it, as its manual has it.

    Args:
        folder: For its database, its files and its log; made when missing.
        environment: Where it is installed; default: `installed()`.

    Attributes:
        address: Where the server listens, once started.
        start_s: Seconds from its start to its first answer.
    """

    def __init__(self, folder: Path, environment: Path | None = None) -> None:
        self._folder = folder
        self._bin = (environment or installed()) / "bin"
        self._server: subprocess.Popen[bytes] | None = None
        self.address = ""
        self.start_s = 0.0

    def __enter__(self) -> Self:
        """Start the server and wait for its first answer.

        Raises:
            PeerUnavailableError: It ended, or did not answer in time.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        port = Ports.from_base(0).chosen().gateway
        self.address = f"http://127.0.0.1:{port}"
        start = time.perf_counter()
        command = [
            str(self._bin / "mlflow"),
            "server",
            "--host=127.0.0.1",
            f"--port={port}",
            f"--backend-store-uri=sqlite:///{self._folder / 'mlflow.db'}",
            f"--artifacts-destination={self._folder / 'files'}",
        ]
        with (self._folder / "log").open("wb") as log:
            self._server = subprocess.Popen(  # noqa: S603 - as above
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **_QUIET},
                process_group=0,
            )
        try:
            self._wait_for_answer(start + _START_TIMEOUT_S)
        except BaseException:
            self.__exit__()
            raise
        self.start_s = round(time.perf_counter() - start, 1)
        return self

    def __exit__(self, *_: object) -> None:
        """Stop the server and its workers."""
        if self._server is None:
            return
        self._server.terminate()
        try:
            self._server.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self._server.pid, 9)
            self._server.wait()

    def run(self, program: str, arguments: Sequence[object] = ()) -> dict[str, Any]:
        """Run a program in the peer's environment; returns the JSON object that it prints last.

        Args:
            program: Python; the server's address is in its environment, as its client wants it.
                It can import `bench.timing`.
            arguments: What it finds in `sys.argv` from 1 on.
        """
        done = subprocess.run(  # noqa: S603 - a bench's own program
            [str(self._bin / "python"), "-c", program, *map(str, arguments)],
            check=True,
            stdout=subprocess.PIPE,
            timeout=_PROGRAM_TIMEOUT_S,
            env={
                **os.environ,
                **_QUIET,
                "MLFLOW_TRACKING_URI": self.address,
                "PYTHONPATH": str(Path(__file__).parents[1]),
            },
        )
        found: dict[str, Any] = json.loads(done.stdout.decode().splitlines()[-1])
        return found

    def pids(self) -> list[int]:
        """The server's processes."""
        if self._server is None:
            return []
        return [self._server.pid, *_below(self._server.pid)]

    def _wait_for_answer(self, deadline: float) -> None:
        while not self._answers():
            if self._server is None or self._server.poll() is not None:
                message = f"MLflow's server ended: {self._log_end()}"
                raise PeerUnavailableError(message)
            if time.perf_counter() > deadline:
                message = f"MLflow's server does not answer: {self._log_end()}"
                raise PeerUnavailableError(message)
            time.sleep(0.05)

    def _answers(self) -> bool:
        try:
            url = f"{self.address}/health"
            with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - our own http
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def _log_end(self) -> str:
        return (self._folder / "log").read_text(errors="replace").strip()[-300:]


def _below(pid: int) -> list[int]:
    children = [
        int(child)
        for task in Path(f"/proc/{pid}/task").glob("*/children")
        for child in task.read_text().split()
    ]
    return [*children, *(found for child in children for found in _below(child))]
