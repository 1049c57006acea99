"""Uploads, records, deletions and collections in any order, against a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from studbook.tracking.v1 import artifact_service_pb2, run_service_pb2
from tests.store.tracking import collecting
from tests.store.tracking.at_work import NO_LIMITS, Tracking, sha256, upload_messages
from tests.store.tracking.collecting import collect, hex_digest, refusal_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from service_chassis.database import Database

# None is empty: the upload of an empty file cannot be interrupted.
CONTENTS = [b"one" * 20, b"two", b"three" * 10, b"four"]
WORKSPACES = ["a", "b"]
GRACE_S, UNFINISHED_S = 1000.0, 2900.0
# No sum of these is near one of those, or the quarter after which a promise is renewed.
STEP_S = 150.0

contents = st.sampled_from(CONTENTS)
workspaces = st.sampled_from(WORKSPACES)
paths = st.sampled_from(["x", "y/z"])


class CollectionModel(RuleBasedStateMachine):
    """What there must be after each step, kept in plain sets and dictionaries.

    Times are the model's own: zero at its start, and later only by `time_passes`.
    """

    def __init__(self, tracking: Tracking) -> None:
        super().__init__()
        self.tracking = tracking
        self.now = 0.0
        self.runs = {
            workspace: tracking.run(
                parent=tracking.experiment(f"workspaces/{workspace}/experiments/e").name
            ).name
            for workspace in WORKSPACES
        }
        self.promises: dict[tuple[str, bytes], float] = {}
        self.written: dict[bytes, float] = {}
        self.partial: dict[tuple[str, bytes], float] = {}
        self.recorded: dict[tuple[str, str], bytes] = {}
        self.deleted: set[str] = set()

    def promise(self, workspace: str, data: bytes) -> None:
        if self.promises[workspace, data] < self.now - GRACE_S / 4:
            self.promises[workspace, data] = self.now

    @rule(workspace=workspaces, data=contents)
    def upload(self, workspace: str, data: bytes) -> None:
        refusal = refusal_of(lambda: self.tracking.upload(self.runs[workspace], data))
        assert refusal == ("RUN_NOT_ACTIVE" if workspace in self.deleted else "")
        if refusal:
            return
        if (workspace, data) in self.promises:
            self.promise(workspace, data)
            return
        self.promises[workspace, data] = self.written[data] = self.now
        self.partial.pop((workspace, data), None)

    @rule(workspace=workspaces, data=contents)
    def interrupted_upload(self, workspace: str, data: bytes) -> None:
        if workspace in self.deleted or (workspace, data) in self.promises:
            return
        messages = upload_messages(self.runs[workspace], data, upto=len(data) - 1)
        assert refusal_of(lambda: self.tracking.call("Upload", messages)) == "UPLOAD_INCOMPLETE"
        self.partial[workspace, data] = self.now

    @rule(workspace=workspaces, asked=st.lists(contents, min_size=1, unique=True))
    def find_missing(self, workspace: str, asked: list[bytes]) -> None:
        if workspace in self.deleted:
            return
        request = artifact_service_pb2.FindMissingRequest(
            run=self.runs[workspace], digests=[sha256(data) for data in asked]
        )
        missing = set(self.tracking.call("FindMissing", request).missing_digests)
        present = [data for data in asked if (workspace, data) in self.promises]
        assert missing == {sha256(data) for data in asked if data not in present}
        # They are promised together.
        if any(self.promises[workspace, data] < self.now - GRACE_S / 4 for data in present):
            for data in present:
                self.promises[workspace, data] = self.now

    @rule(workspace=workspaces, path=paths, data=contents)
    def record(self, workspace: str, path: str, data: bytes) -> None:
        refusal = refusal_of(
            lambda: self.tracking.record(self.runs[workspace], {path: data}, allow_overwrite=True)
        )
        if workspace in self.deleted:
            assert refusal == "RUN_NOT_ACTIVE"
        elif (workspace, data) in self.promises:
            assert refusal == ""
            self.recorded[workspace, path] = data
        else:
            assert refusal == "BLOB_MISSING"

    @rule(workspace=workspaces)
    def delete_or_restore(self, workspace: str) -> None:
        if workspace in self.deleted:
            request = run_service_pb2.UndeleteRunRequest(name=self.runs[workspace])
            self.tracking.call("UndeleteRun", request)
        else:
            self.tracking.delete(self.runs[workspace])
        self.deleted ^= {workspace}

    @rule(steps=st.integers(1, 12))
    def time_passes(self, steps: int) -> None:
        self.now += steps * STEP_S
        collecting.pass_time(self.tracking, steps * STEP_S)

    @precondition(lambda self: self.promises or self.partial)
    @rule()
    def collect(self) -> None:
        collect(self.tracking, GRACE_S, UNFINISHED_S)
        needed = {(workspace, data) for (workspace, _), data in self.recorded.items()}
        self.promises = {
            key: promised
            for key, promised in self.promises.items()
            if key in needed or promised > self.now - GRACE_S
        }
        owned = {data for _, data in self.promises}
        self.written = {
            data: written
            for data, written in self.written.items()
            if data in owned or written > self.now - GRACE_S
        }
        self.partial = {
            key: written
            for key, written in self.partial.items()
            if written > self.now - UNFINISHED_S
        }

    @invariant()
    def what_is_there_is_what_must_be(self) -> None:
        has: dict[str, set[str]] = {}
        used: dict[str, int] = {}
        for workspace, data in self.promises:
            has.setdefault(workspace, set()).add(hex_digest(data))
            used[workspace] = used.get(workspace, 0) + len(data)
        assert collecting.entries(self.tracking) == has
        assert collecting.usage(self.tracking) == used
        assert collecting.stored(self.tracking) == {hex_digest(data) for data in self.written}
        assert collecting.unfinished(self.tracking) == len(self.partial)

    @invariant()
    def every_file_can_be_read(self) -> None:
        for (workspace, path), data in self.recorded.items():
            assert self.tracking.download(self.runs[workspace], path) == data


def test_collection_agrees_with_a_model(
    database_factory: Callable[[str], Database], tmp_path_factory: pytest.TempPathFactory
) -> None:
    database = database_factory("tracking_service")

    class OnEmptyDatabase(CollectionModel):
        def __init__(self) -> None:
            collecting.empty(database)
            folder = tmp_path_factory.mktemp("artifacts")
            super().__init__(Tracking(database, folder, NO_LIMITS, GRACE_S))

    run_state_machine_as_test(
        OnEmptyDatabase,
        settings=settings(
            max_examples=15,
            stateful_step_count=25,
            suppress_health_check=list(HealthCheck),
        ),
    )
