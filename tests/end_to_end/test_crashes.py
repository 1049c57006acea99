"""kill -9 of any process at any moment: what was acknowledged stays, and Production stays one."""

from __future__ import annotations

import threading
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook.exceptions import StudbookError
from studbook.registry.v1 import (
    lineage_service_pb2,
    model_service_pb2,
    promotion_service_pb2,
    version_pb2,
)
from studbook.tracking.v1 import artifact_service_pb2, metric_pb2, metric_service_pb2
from tests.end_to_end import story
from tests.end_to_end.conftest import Everyone, clients_of, tokens_of
from tests.patience import insist

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KILLS = 3


def keep_killing(stack: LocalStack, name: str, work: Callable[[], None]) -> None:
    """Run work while a process is killed again and again, then let the stack come back."""
    done = threading.Event()
    failures: list[BaseException] = []

    def worker() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - raised again below
            failures.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=worker)
    thread.start()
    for _ in range(KILLS):
        # The moment of the kill is whatever the work is doing after this wait.
        if done.wait(0.4):
            break
        stack.kill_child(name)
        stack.wait_serving()
    thread.join()
    stack.wait_serving()
    if failures:
        raise failures[0]


@pytest.mark.parametrize("victim", ["tracking", "gateway"])
def test_no_acknowledged_point_is_lost_or_doubled(
    own_stack: LocalStack, people: Everyone, victim: str
) -> None:
    experiment = story.create_experiment(people.ada, "crash")
    run = story.create_run(people.ada, experiment, "r1")
    batches = 150

    def log() -> None:
        for sequence in range(1, batches + 1):
            series = metric_pb2.MetricSeries(
                key="loss", steps=[sequence], times_us=[sequence], values=[float(sequence)]
            )
            request = metric_service_pb2.AppendMetricsRequest(
                run=run, writer="w", sequence=sequence, series=[series]
            )
            insist(partial(people.ada.metrics.AppendMetrics, request))

    keep_killing(own_stack, victim, log)
    answer = people.ada.metrics.ReadMetrics(metric_service_pb2.ReadMetricsRequest(runs=[run]))
    values = [value for part in answer for value in part.series.values]
    assert values == [float(sequence) for sequence in range(1, batches + 1)]


@pytest.mark.parametrize("victim", ["registry", "gateway", "tracking"])
def test_never_two_in_production_and_no_promotion_lost(
    own_stack: LocalStack, people: Everyone, victim: str
) -> None:
    experiment = story.create_experiment(people.ada, "crash")
    run = story.train(people.ada, experiment, 1).run
    model = story.create_model(people.ada, "crash")
    numbers = [f"1.{minor}.0" for minor in range(12)]
    acknowledged: list[str] = []

    def promote_all() -> None:
        for number in numbers:
            name = f"{model}/versions/{number}"
            request = model_service_pb2.CreateVersionRequest(
                parent=model, version_id=number, source_run=run, artifact_paths=["model"]
            )
            insist(partial(register_once, people, request))
            insist(partial(story.promote, people.release, name))
            acknowledged.append(name)

    keep_killing(own_stack, victim, promote_all)
    versions = people.ada.models.ListVersions(
        model_service_pb2.ListVersionsRequest(parent=model, page_size=1000)
    ).versions
    standing = [v.name for v in versions if v.stage == version_pb2.STAGE_PRODUCTION]
    assert standing == [acknowledged[-1]]
    assert {v.stage for v in versions if v.name != standing[0]} == {version_pb2.STAGE_ARCHIVED}
    history = people.max.promotions.ListTransitions(
        promotion_service_pb2.ListTransitionsRequest(
            parent=model, filter="to_stage = PRODUCTION", order_by="create_time", page_size=1000
        )
    ).transitions
    assert [transition.version for transition in history] == acknowledged
    for before, after in pairwise(history):
        assert before.end_time == after.create_time
    check_chain(people)


def register_once(people: Everyone, request: model_service_pb2.CreateVersionRequest) -> None:
    """Register, taking a version that an unanswered call registered for granted."""
    try:
        people.ada.models.CreateVersion(request)
    except StudbookError as error:
        if error.reason != "VERSION_EXISTS":
            raise


def check_chain(people: Everyone) -> None:
    """Each entry of the workspace's ledger that follows another directly holds its hash."""
    entries = people.max.lineage.ListLedgerEntries(
        lineage_service_pb2.ListLedgerEntriesRequest(parent="workspaces/main", page_size=1000)
    ).entries
    assert [entry.position for entry in entries] == list(range(1, len(entries) + 1))
    for before, after in pairwise(entries):
        assert after.previous_hash == before.hash
        assert before.create_time.ToNanoseconds() < after.create_time.ToNanoseconds()


@pytest.mark.parametrize("victim", ["tracking", "gateway"])
def test_upload_goes_on_where_it_broke(
    own_stack: LocalStack, people: Everyone, victim: str
) -> None:
    experiment = story.create_experiment(people.ada, "crash")
    run = story.create_run(people.ada, experiment, "r1")
    data = bytes(range(256)) * 32 * 1024  # 8 MiB

    def broken() -> Iterator[artifact_service_pb2.UploadRequest]:
        for number, message in enumerate(story.upload_messages(run, data)):
            if number == 20:
                own_stack.kill_child(victim)
            yield message

    with pytest.raises(StudbookError):
        people.ada.artifacts.Upload(broken())
    own_stack.wait_serving()
    committed = committed_size(people, run, data)
    assert committed < len(data)
    insist(lambda: resume(people, run, data))
    assert committed_size(people, run, data) == len(data)


def committed_size(people: Everyone, run: str, data: bytes) -> int:
    answer = people.ada.artifacts.QueryUpload(
        artifact_service_pb2.QueryUploadRequest(run=run, digest=story.digest_of(data))
    )
    return answer.committed_size


def resume(people: Everyone, run: str, data: bytes) -> None:
    offset = committed_size(people, run, data)
    people.ada.artifacts.Upload(story.upload_messages(run, data, offset))


def test_data_survives_a_restart(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("restart")
    with LocalStack(folder, Ports.from_base(0), separate=True) as first:
        people = clients_of(first, tokens_of(first))
        experiment = story.create_experiment(people.ada, "kept")
        trained = story.train(people.ada, experiment, 1)
        model = story.create_model(people.ada, "kept")
        version = story.register(people.ada, model, "1.0.0", trained.run)
        story.promote(people.release, version.name)
        people.close()
    with LocalStack(folder, Ports.from_base(0), separate=True) as second:
        people = clients_of(second, tokens_of(second))
        assert story.in_production(people.serving, model).version.name == version.name
        files = story.fetch(people.serving, version.name)
        people.close()
    assert files == {"model.bin": trained.model_bytes}
