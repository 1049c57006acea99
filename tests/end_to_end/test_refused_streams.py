"""A stream that is refused while it is being sent still says why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from studbook.exceptions import InvalidArgument, StudbookError
from studbook.tracking.v1 import metric_pb2, metric_service_pb2
from tests.end_to_end import story

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.end_to_end.conftest import Everyone

# Without the gateway's waiting for the first message's acceptance, one in twenty lost its reason.
ATTEMPTS = 60


@pytest.mark.parametrize("size", [5, 3_000_000], ids=["small", "large"])
def test_refused_upload(everyone: Everyone, new_id: Callable[[str], str], size: int) -> None:
    run = story.create_run(everyone.ada, story.create_experiment(everyone.ada, new_id("refused")))
    reasons = set()
    for _ in range(ATTEMPTS):
        with pytest.raises(StudbookError) as refused:
            everyone.ada.artifacts.Upload(
                story.upload_messages(run, bytes(size), digest="sha256:none")
            )
        reasons.add((type(refused.value), refused.value.reason))
    assert reasons == {(InvalidArgument, "FIELD_INVALID")}


def test_refused_metrics(everyone: Everyone, new_id: Callable[[str], str]) -> None:
    run = story.create_run(everyone.ada, story.create_experiment(everyone.ada, new_id("refused")))

    def batches() -> Iterator[metric_service_pb2.StreamMetricsRequest]:
        for sequence in range(50):
            series = metric_pb2.MetricSeries(key="k", steps=[1, 2], times_us=[1], values=[1.0])
            batch = metric_service_pb2.AppendMetricsRequest(
                run=run, writer="w", sequence=sequence + 1, series=[series]
            )
            yield metric_service_pb2.StreamMetricsRequest(batch=batch)

    reasons = set()
    for _ in range(ATTEMPTS):
        with pytest.raises(StudbookError) as refused:
            list(everyone.ada.metrics.StreamMetrics(batches()))
        reasons.add(refused.value.reason)
    assert reasons == {"FIELD_INVALID"}
