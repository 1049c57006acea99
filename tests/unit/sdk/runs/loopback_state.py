"""What the peer on loopback keeps, and how it is told to fail."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from pathlib import Path

    from studbook.registry.v1 import (
        version_pb2,
    )
    from studbook.registry.v1.lineage_pb2 import LineageParent
    from studbook.tracking.v1 import (
        artifact_pb2,
        run_pb2,
    )


Point = tuple[int, int, float]


class Token:
    """A token source with one token."""

    def token(self) -> str | None:
        return "a-token"


@dataclass
class Stored:
    """What the peer has, and how it is to fail."""

    blobs: Path
    experiments: set[str] = field(default_factory=set)
    runs: dict[str, run_pb2.Run] = field(default_factory=dict)
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    datasets: dict[str, Any] = field(default_factory=dict)
    inputs: list[tuple[str, str, str]] = field(default_factory=list)
    points: dict[tuple[str, str], list[Point]] = field(default_factory=dict)
    sequences: dict[tuple[str, str], int] = field(default_factory=dict)
    artifacts: dict[tuple[str, str], artifact_pb2.Artifact] = field(default_factory=dict)
    versions: dict[str, version_pb2.Version] = field(default_factory=dict)
    parents: dict[str, list[LineageParent]] = field(default_factory=dict)
    models: set[str] = field(default_factory=set)
    calls: list[str] = field(default_factory=list)
    requests: dict[str, Any] = field(default_factory=dict)
    authorizations: list[str] = field(default_factory=list)
    # Answers UNAVAILABLE to so many calls of a method, by the method's name.
    unavailable: dict[str, int] = field(default_factory=dict)
    # Has so many calls of a method wait before they are made again, and how long, in seconds.
    too_fast: dict[str, int] = field(default_factory=dict)
    wait_s: float = 0.3
    # When calls of a method came, by the clock that only goes forward.
    times: list[float] = field(default_factory=list)
    # Ends the next upload or download with its token, after so many bytes.
    expire_after: int | None = None
    # Breaks the next upload or download after so many bytes.
    break_after: int | None = None
    # Refuses every registration of a version.
    refuse_versions: bool = False
    most_params: int = 1_000_000
    # Refuses batches of metrics that have one of these keys, or are longer.
    refused_keys: set[str] = field(default_factory=set)
    most_batch_bytes: int = 4 * 1024 * 1024
    # Refuses batches with which a run would have more metrics.
    most_metrics: int = 1_000_000
    lock: threading.RLock = field(default_factory=threading.RLock)


def fail(
    context: grpc.ServicerContext,
    code: grpc.StatusCode,
    reason: str,
    message: str,
    fields: dict[str, str] | None = None,
    retry_after_s: float = 0.0,
    **metadata: str,
) -> NoReturn:
    status = status_pb2.Status(code=code.value[0], message=message)
    info = error_details_pb2.ErrorInfo(reason=reason, domain="studbook.dev", metadata=metadata)
    violations = [
        error_details_pb2.BadRequest.FieldViolation(field=name, description=text)
        for name, text in (fields or {}).items()
    ]
    retry = error_details_pb2.RetryInfo()
    retry.retry_delay.FromMilliseconds(int(retry_after_s * 1000))
    for detail in (info, error_details_pb2.BadRequest(field_violations=violations), retry):
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(code, message)
    raise AssertionError


class Part:
    def __init__(self, stored: Stored) -> None:
        self.stored = stored

    def begin(self, method: str, context: grpc.ServicerContext) -> None:
        with self.stored.lock:
            self.stored.calls.append(method)
            self.stored.times.append(time.monotonic())
            headers = dict(context.invocation_metadata())
            self.stored.authorizations.append(str(headers.get("authorization", "")))
            left = self.stored.unavailable.get(method, 0)
            if left:
                self.stored.unavailable[method] = left - 1
                fail(context, grpc.StatusCode.UNAVAILABLE, "STORE_UNAVAILABLE", "Come back later.")
            if self.stored.too_fast.get(method, 0):
                self.stored.too_fast[method] -= 1
                fail(
                    context,
                    grpc.StatusCode.RESOURCE_EXHAUSTED,
                    "RATE_LIMITED",
                    "Not so fast.",
                    retry_after_s=self.stored.wait_s,
                )

    def cut(self, context: grpc.ServicerContext, position: int) -> None:
        """End a transfer in the middle, if it is to be ended here."""
        if self.stored.break_after is not None and position >= self.stored.break_after:
            self.stored.break_after = None
            fail(context, grpc.StatusCode.UNAVAILABLE, "", "The line went dead.")
        if self.stored.expire_after is not None and position >= self.stored.expire_after:
            self.stored.expire_after = None
            fail(context, grpc.StatusCode.UNAUTHENTICATED, "TOKEN_EXPIRED", "It has expired.")

    def run(self, name: str, context: grpc.ServicerContext) -> run_pb2.Run:
        if name not in self.stored.runs:
            fail(context, grpc.StatusCode.NOT_FOUND, "NOT_FOUND", "No such run.", resource=name)
        return self.stored.runs[name]
