"""Streams that stay open take nobody else's place."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

import grpc

from studbook.tracking.v1 import metric_pb2, metric_service_pb2, run_service_pb2
from studbook.tracking.v1.metric_service_pb2_grpc import MetricServiceStub
from tests.end_to_end import story

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from local_stack.stack import LocalStack
    from tests.end_to_end.conftest import Everyone

CLIENTS = 3
# Of each client no more than a connection to the gateway may have.
STREAMS = 100


def test_others_are_served_while_many_runs_hold_a_stream_open(
    stack: LocalStack, tokens: dict[str, str], everyone: Everyone, new_id: Callable[[str], str]
) -> None:
    run = story.create_run(everyone.ada, story.create_experiment(everyone.ada, new_id("streams")))
    series = metric_pb2.MetricSeries(key="loss", steps=[1], times_us=[1], values=[1.0])
    ended = threading.Event()

    def batches(writer: str) -> Iterator[metric_service_pb2.StreamMetricsRequest]:
        batch = metric_service_pb2.AppendMetricsRequest(
            run=run, writer=writer, sequence=1, series=[series]
        )
        yield metric_service_pb2.StreamMetricsRequest(batch=batch)
        ended.wait()

    with ExitStack() as cleanup:
        cleanup.callback(ended.set)
        metadata = (("authorization", f"Bearer {tokens['ada']}"),)
        for client in range(CLIENTS):
            # Otherwise all channels of this process would share a connection.
            options = (("grpc.use_local_subchannel_pool", 1),)
            channel = cleanup.enter_context(grpc.insecure_channel(stack.addresses.gateway, options))
            stub = MetricServiceStub(channel)
            for number in range(STREAMS):
                # Each ends before those that were begun earlier and whose place it could get.
                lasting_s = 60 - (client * STREAMS + number) / 10
                writer = f"{client}-{number}"
                call = stub.StreamMetrics(batches(writer), lasting_s, metadata=metadata)
                cleanup.callback(call.cancel)
                answers: Iterator[metric_service_pb2.StreamMetricsResponse] = iter(call)
                assert next(answers).committed_sequence == 1

        read = run_service_pb2.GetRunRequest(name=run)
        assert (
            everyone.grace.runs.GetRun(read, timeout=10).run.metrics[0].count == CLIENTS * STREAMS
        )
