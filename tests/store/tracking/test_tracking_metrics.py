"""AppendMetrics and StreamMetrics, as their contract promises."""

from __future__ import annotations

import asyncio
import math
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from service_chassis.errors import StudbookError
from studbook.tracking.v1 import metric_pb2, run_pb2
from studbook.tracking.v1 import metric_service_pb2 as pb
from tests.store.tracking.at_work import ADA, WINE, batch, reason
from tracking_service.records import RunState
from tracking_service.tables import runs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.store.tracking.at_work import Tracking


def summaries(tracking: Tracking, run: str) -> dict[str, Any]:
    return {summary.key: summary for summary in tracking.get(run).metrics}


def means_and_rest(found: dict[str, Any]) -> tuple[dict[str, float], dict[str, Any]]:
    means = {key: summary.mean for key, summary in found.items()}
    for summary in found.values():
        summary.ClearField("mean")
    return means, found


def test_points_come_back_in_order_of_step_and_arrival(tracking: Tracking) -> None:
    run = tracking.run().name

    tracking.append(run, sequence=1, loss=[(5, 0.5), (1, 0.1), (5, 0.6)])
    tracking.append(run, sequence=2, loss=[(3, 0.3), (5, 0.7), (-(2**63), 0.0)])

    assert tracking.points(run) == [
        (-(2**63), 0.0),
        (1, 0.1),
        (3, 0.3),
        (5, 0.5),
        (5, 0.6),
        (5, 0.7),
    ]


def test_special_values_survive_in_points_and_summaries(tracking: Tracking) -> None:
    run = tracking.run().name

    tracking.append(run, sequence=1, nan=[(1, math.nan)], inf=[(1, -math.inf), (2, math.inf)])
    first = summaries(tracking, run)
    tracking.append(run, sequence=2, nan=[(2, 3.0), (3, math.nan)])
    second = summaries(tracking, run)

    assert [math.isnan(getattr(first["nan"], f)) for f in ("first", "last", "min", "max", "mean")]
    assert (first["inf"].min, first["inf"].max, first["inf"].last) == (
        -math.inf,
        math.inf,
        math.inf,
    )
    assert math.isnan(first["inf"].mean)
    assert (second["nan"].min, second["nan"].max, second["nan"].mean) == (3.0, 3.0, 3.0)
    assert (second["nan"].min_step, second["nan"].count) == (2, 3)
    assert math.isnan(second["nan"].first)
    assert math.isnan(second["nan"].last)
    read = tracking.points(run, "nan")
    assert [step for step, _ in read] == [1, 2, 3]
    np.testing.assert_array_equal([value for _, value in read], [math.nan, 3.0, math.nan])


def test_a_batch_sent_twice_counts_once(tracking: Tracking) -> None:
    run = tracking.run().name

    assert tracking.append(run, sequence=3, loss=[(1, 1.0)]) == 3
    assert tracking.append(run, sequence=3, loss=[(1, 1.0)]) == 3
    assert tracking.append(run, sequence=2, loss=[(1, 1.0)]) == 3
    assert tracking.append(run, writer="other", sequence=1, loss=[(2, 1.0)]) == 1

    assert tracking.points(run) == [(1, 1.0), (2, 1.0)]
    assert summaries(tracking, run)["loss"].count == 2


def test_a_batch_that_arrives_twice_at_once_counts_once(tracking: Tracking) -> None:
    run = tracking.run().name
    copies = 8
    barrier = threading.Barrier(copies)
    acknowledged = []

    def send() -> None:
        barrier.wait()
        acknowledged.append(tracking.append(run, loss=[(1, 1.0), (2, 2.0)], acc=[(1, 0.5)]))

    threads = [threading.Thread(target=send) for _ in range(copies)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert acknowledged == [1] * copies
    assert tracking.points(run) == [(1, 1.0), (2, 2.0)]
    assert summaries(tracking, run)["loss"].count == 2


def test_writers_at_once_lose_nothing(tracking: Tracking) -> None:
    run = tracking.run().name
    writers, batches = 6, 5
    barrier = threading.Barrier(writers)
    failures: list[BaseException] = []

    def write(writer: int) -> None:
        barrier.wait()
        try:
            for sequence in range(1, batches + 1):
                point = (writer * 100 + sequence, float(writer))
                # In another order each, which must not end in a deadlock.
                keys = ("a", "b", "c")[:: 1 if writer % 2 else -1]
                tracking.append(run, f"w{writer}", sequence, **{key: [point] for key in keys})
        except BaseException as failure:  # noqa: BLE001 - reported by the test's thread
            failures.append(failure)

    threads = [threading.Thread(target=write, args=(writer,)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not failures
    expected = sorted(
        (writer * 100 + sequence, float(writer))
        for writer in range(writers)
        for sequence in range(1, batches + 1)
    )
    for key in ("a", "b", "c"):
        assert tracking.points(run, key) == expected
        assert summaries(tracking, run)[key].count == writers * batches
        assert summaries(tracking, run)[key].max == writers - 1


def test_metrics_change_the_heartbeat_but_not_the_etag(tracking: Tracking) -> None:
    before = tracking.run()

    tracking.append(before.name, loss=[(1, 1.0)])

    after = tracking.get(before.name)
    assert after.etag == before.etag
    assert after.update_time == before.update_time
    assert after.heartbeat_time.ToMicroseconds() >= before.heartbeat_time.ToMicroseconds()


def test_a_key_that_stands_twice_in_a_batch_is_one_series(tracking: Tracking) -> None:
    run = tracking.run().name
    request = batch(run, loss=[(1, 1.0)])
    request.series.extend(batch(run, loss=[(2, 2.0)]).series)

    tracking.call("AppendMetrics", request)

    assert tracking.points(run) == [(1, 1.0), (2, 2.0)]


def bad_batches() -> dict[str, Callable[[pb.AppendMetricsRequest], None]]:
    def shorten(request: pb.AppendMetricsRequest) -> None:
        del request.series[0].steps[-1]

    def empty(request: pb.AppendMetricsRequest) -> None:
        request.series[0].CopyFrom(metric_pb2.MetricSeries(key="loss"))

    def flood(request: pb.AppendMetricsRequest) -> None:
        for column in ("steps", "times_us", "values"):
            getattr(request.series[0], column).extend([0] * 100_000)

    def set_time(request: pb.AppendMetricsRequest) -> None:
        request.series[0].times_us[0] = 2**63 - 1

    return {
        "run": lambda request: setattr(request, "run", "x"),
        "writer": lambda request: setattr(request, "writer", ""),
        "writer ": lambda request: setattr(request, "writer", "w" * 65),
        "sequence": lambda request: setattr(request, "sequence", 0),
        "series": lambda request: request.ClearField("series"),
        "series ": flood,
        "series[0].key": lambda request: setattr(request.series[0], "key", ""),
        "series[0].key ": lambda request: setattr(request.series[0], "key", "k" * 257),
        "series[0].steps": shorten,
        "series[0].values": empty,
        "series[0].times_us": set_time,
    }


@pytest.mark.parametrize("field", bad_batches())
def test_a_bad_batch_names_its_field_and_leaves_no_trace(tracking: Tracking, field: str) -> None:
    run = tracking.run().name
    request = batch(run, loss=[(1, 1.0), (2, 2.0)])
    bad_batches()[field](request)

    with pytest.raises(StudbookError) as refusal:
        tracking.call("AppendMetrics", request)

    assert [violation.field for violation in refusal.value.fields] == [field.strip()]
    assert not tracking.get(run).metrics


def test_metrics_of_a_run_that_does_not_exist(tracking: Tracking) -> None:
    assert reason(lambda: tracking.append(f"{WINE}/runs/no", loss=[(1, 1.0)])) == "NOT_FOUND"
    assert reason(lambda: tracking.points(f"{WINE}/runs/no")) == "NOT_FOUND"


def test_a_stream_acknowledges_each_batch_in_order(tracking: Tracking) -> None:
    run = tracking.run().name
    requests = [
        pb.StreamMetricsRequest(batch=batch(run, sequence=sequence, loss=[(sequence, 1.0)]))
        for sequence in (1, 2, 2, 5)
    ]

    acknowledged = tracking.call("StreamMetrics", requests)

    assert [response.committed_sequence for response in acknowledged] == [1, 2, 2, 5]
    assert [step for step, _ in tracking.points(run)] == [1, 2, 5]


def test_a_stream_ends_with_the_first_error_and_keeps_what_was_acknowledged(
    tracking: Tracking,
) -> None:
    run = tracking.run().name
    requests = [
        pb.StreamMetricsRequest(batch=batch(run, sequence=sequence, loss=[(sequence, 1.0)]))
        for sequence in (1, 0, 2)
    ]

    assert reason(lambda: tracking.call("StreamMetrics", requests)) == "FIELD_INVALID"
    assert tracking.points(run) == [(1, 1.0)]
    assert reason(lambda: tracking.call("StreamMetrics", [pb.StreamMetricsRequest()]))


def test_a_batch_is_a_sign_of_life_for_a_stale_run(tracking: Tracking) -> None:
    run = tracking.run()

    def fall_silent(connection: sa.Connection) -> None:
        connection.execute(runs.update().values(state=int(RunState.STALE), heard_time=0))

    tracking.database.write_now(fall_silent)
    assert tracking.get(run.name).state == run_pb2.RUN_STATE_STALE

    tracking.append(run.name, loss=[(1, 1.0)])

    assert tracking.get(run.name).state == run_pb2.RUN_STATE_RUNNING


def test_batches_that_come_while_others_are_stored_share_a_commit(tracking: Tracking) -> None:
    run = tracking.run().name
    commits: list[object] = []
    sa.event.listen(tracking.database.engine, "commit", commits.append)
    requests = [
        pb.StreamMetricsRequest(batch=batch(run, sequence=sequence, loss=[(sequence, 1.0)]))
        for sequence in range(1, 101)
    ]

    acknowledged = tracking.call("StreamMetrics", requests)

    assert [response.committed_sequence for response in acknowledged] == list(range(1, 101))
    assert len(commits) < 50
    assert len(tracking.points(run)) == 100


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    before=st.lists(st.integers(1, 12), max_size=4),
    sent=st.lists(
        st.tuples(st.sampled_from(["v", "w"]), st.integers(1, 12)), min_size=1, max_size=24
    ),
)
def test_a_stream_stores_what_single_calls_would(
    tracking: Tracking, before: list[int], sent: list[tuple[str, int]]
) -> None:
    streamed, single = tracking.run().name, tracking.run().name

    def one(run: str, writer: str, sequence: int) -> pb.AppendMetricsRequest:
        keys = ("loss", "accuracy", "lr")[: 1 + sequence % 3]
        return batch(run, writer, sequence, **{key: [(sequence, float(sequence))] for key in keys})

    for sequence in before:
        for run in (streamed, single):
            tracking.call("AppendMetrics", one(run, "w", sequence))
    requests = [pb.StreamMetricsRequest(batch=one(streamed, *each)) for each in sent]

    acknowledged = [
        response.committed_sequence for response in tracking.call("StreamMetrics", requests)
    ]

    assert acknowledged == [
        tracking.call("AppendMetrics", one(single, *each)).committed_sequence for each in sent
    ]
    streamed_means, streamed_rest = means_and_rest(summaries(tracking, streamed))
    single_means, single_rest = means_and_rest(summaries(tracking, single))
    assert streamed_rest == single_rest
    # Means of many and means of means are rounded otherwise.
    assert streamed_means == pytest.approx(single_means, rel=1e-12)
    assert tracking.points(streamed) == tracking.points(single)


def test_nothing_is_stored_of_a_stream_after_a_batch_that_is_refused(tracking: Tracking) -> None:
    run = tracking.run().name
    good = [batch(run, sequence=sequence, loss=[(sequence, 1.0)]) for sequence in range(1, 41)]
    good[20].run = f"{WINE}/runs/none"
    requests = [pb.StreamMetricsRequest(batch=one) for one in good]

    assert reason(lambda: tracking.call("StreamMetrics", requests)) == "NOT_FOUND"
    assert [step for step, _ in tracking.points(run)] == list(range(1, 21))


def test_acknowledged_means_committed(tracking: Tracking) -> None:
    run = tracking.run().name

    async def append_and_look() -> int:
        await tracking.call_async("AppendMetrics", batch(run, loss=[(1, 1.0)]), ADA)
        # Another connection sees it at once.
        request = pb.ReadMetricsRequest(runs=[run])
        return len(await tracking.call_async("ReadMetrics", request, ADA))

    assert asyncio.run(append_and_look()) == 1
