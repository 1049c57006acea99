"""One supervised process of the stack."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

_POLL_S = 0.05
_FIRST_BACK_OFF_S, _LONGEST_BACK_OFF_S = 0.2, 10.0
# A child that ran this long was well; the next restart is quick again.
_HEALTHY_AFTER_S = 30.0
_STOP_TIMEOUT_S = 15.0
_LARGEST_LOG = 10 * 1024 * 1024
_TAIL_LINES = 20


class ChildError(RuntimeError):
    """A child ended or did not get ready; the message holds the end of its log."""


@dataclass(frozen=True)
class ChildSpec:
    """What to run.

    Attributes:
        name: For people: `tracking`, `registry` or `gateway`.
        module: Python module to run.
        address: Where it serves gRPC, with health.
        environment: Its settings.
        credentials: With what to ask it for its health; None: in plain text.
    """

    name: str
    module: str
    address: str
    environment: Mapping[str, str]
    credentials: grpc.ChannelCredentials | None = None


def is_serving(address: str, credentials: grpc.ChannelCredentials | None = None) -> bool:
    """Whether a gRPC server at the address says that it is serving."""
    with (
        grpc.secure_channel(address, credentials)
        if credentials is not None
        else grpc.insecure_channel(address)
    ) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check
        try:
            answer = check(health_pb2.HealthCheckRequest(), timeout=2)
        except grpc.RpcError:
            return False
    return bool(answer.status == health_pb2.HealthCheckResponse.SERVING)


class Child:
    """A process that is started again whenever it ends by itself.

    Args:
        spec: What to run.
        log: File for its standard output and error.
        say: Told, in words, when it dies and starts again.
    """

    def __init__(self, spec: ChildSpec, log: Path, say: Callable[[str], None]) -> None:
        self.spec = spec
        self.log = log
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = threading.Event()
        # Held while a process is spawned, so that stopping never misses a new one.
        self._spawning = threading.Lock()
        self._supervisor: threading.Thread | None = None

    @property
    def pid(self) -> int:
        """Process id of the present incarnation."""
        if self._process is None:
            message = f"{self.spec.name} was not started"
            raise ChildError(message)
        return self._process.pid

    def spawn(self) -> None:
        """Start the process, without waiting for it."""
        if self.log.exists() and self.log.stat().st_size > _LARGEST_LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self._spawning, self.log.open("ab") as log:
            if self._stopping.is_set():
                return
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                # -P: what is in the working directory must not shadow the services.
                [sys.executable, "-P", "-m", "local_stack.service_process", self.spec.module],
                env={**os.environ, **self.spec.environment},
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                # A group of its own: Ctrl-C reaches the stack, which stops children in order.
                process_group=0,
            )

    def wait_serving(self, timeout_s: float) -> None:
        """Wait until the child serves.

        Raises:
            ChildError: It ended, or the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not is_serving(self.spec.address, self.spec.credentials):
            if self._supervisor is None and self._process and self._process.poll() is not None:
                raise self._failure(f"ended with exit code {self._process.returncode}")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready after {timeout_s:g} s")
            self._stopping.wait(_POLL_S)

    def _failure(self, what: str) -> ChildError:
        tail = "\n  ".join(self.log_tail())
        return ChildError(f"The {self.spec.name} {what}. Its log ({self.log}) ends with:\n  {tail}")

    def log_tail(self) -> list[str]:
        """The last lines of the log."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 16 * 1024))
            return file.read().decode(errors="replace").splitlines()[-_TAIL_LINES:]

    def supervise(self) -> None:
        """From now on, start the process again whenever it ends."""
        self._supervisor = threading.Thread(
            target=self._keep_alive, name=f"supervise-{self.spec.name}", daemon=True
        )
        self._supervisor.start()

    def _keep_alive(self) -> None:
        back_off = _FIRST_BACK_OFF_S
        while self._process is not None:
            started = time.monotonic()
            code = self._process.wait()
            self._close_pipe()
            if self._stopping.is_set():
                return
            if time.monotonic() - started > _HEALTHY_AFTER_S:
                back_off = _FIRST_BACK_OFF_S
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            self._say(f"The {self.spec.name} ended with {how}; starting it again.")
            if self._stopping.wait(back_off):
                return
            back_off = min(back_off * 2, _LONGEST_BACK_OFF_S)
            self.spawn()

    def kill(self) -> None:
        """End the process as a crash would, with SIGKILL; a supervised one comes back."""
        os.kill(self.pid, signal.SIGKILL)

    def stop(self) -> None:
        """Stop the process for good: politely, then not."""
        self._stopping.set()
        with self._spawning:
            process = self._process
        if process is not None and process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._say(f"The {self.spec.name} did not stop in time and is killed.")
                process.kill()
                process.wait()
        if self._supervisor is not None:
            self._supervisor.join()
        self._close_pipe()

    def _close_pipe(self) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.close()
