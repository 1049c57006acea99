"""Batches of metrics made as bytes are what the contract's own classes make."""

from __future__ import annotations

import os
import struct
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from studbook.metric_batches import MetricBatch, encoded_request
from studbook.record_blocks import MetricRows, read_blocks
from studbook.record_log import METRICS, SHAPE, MetricDecoder, RecordWriter, read_records
from studbook.run_records import RunStart, encode
from studbook.tracking.v1 import metric_pb2, metric_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

START = RunStart("workspaces/main", "wine", "one", "writer", 1)

int64 = st.integers(-(2**63), 2**63 - 1)
keys = st.lists(st.text("ab/é\N{SNOWMAN}", min_size=1, max_size=6), unique=True)
Call = tuple[tuple[str, ...], int, int, list[float]]


@st.composite
def logged(draw: st.DrawFn) -> list[Call]:
    """Calls with a few shapes, some of them many times in a row, as training loops make them."""
    shapes = draw(st.lists(keys.map(tuple).filter(len), min_size=1, max_size=3))
    calls: list[Call] = []
    for _ in range(draw(st.integers(1, 6))):
        shape = draw(st.sampled_from(shapes))
        steps, time_us = draw(int64), draw(int64)
        values = draw(st.lists(st.floats(), min_size=len(shape), max_size=len(shape)))
        for number in range(draw(st.sampled_from([1, 2, 15, 16, 17, 40, 200]))):
            step = min(steps + number, 2**63 - 1)
            calls.append((shape, step, time_us, [value + number for value in values]))
    return calls


def write(path: Path, calls: list[Call]) -> None:
    writer = RecordWriter(path, *encode(START))
    for call in calls:
        writer.append_metrics(*call)
    writer.close()


def batches(path: Path, most_points: int) -> Iterator[MetricBatch]:
    """The batches of a file, as a shipment makes them."""
    descriptor, offset, decoder = os.open(path, os.O_RDONLY), 0, MetricDecoder()
    while True:
        batch = MetricBatch(most_points)
        for block in read_blocks(descriptor, offset):
            if isinstance(block, MetricRows):
                if not batch.add_rows(decoder.keys(block.shape), block) or batch.is_full:
                    break
            elif block.kind == SHAPE:
                decoder.learn(block.body)
            elif block.kind == METRICS and (
                not batch.add(*decoder.decode(block.body), block.end) or batch.is_full
            ):
                break
        if not batch.points:
            break
        yield batch
        offset = batch.end
    os.close(descriptor)


def typed(calls: list[Call], sequence: int) -> metric_service_pb2.AppendMetricsRequest:
    columns: dict[str, metric_pb2.MetricSeries] = {}
    for shape, step, time_us, values in calls:
        for key, value in zip(shape, values, strict=True):
            series = columns.setdefault(key, metric_pb2.MetricSeries(key=key))
            series.steps.append(step)
            series.times_us.append(time_us)
            series.values.append(value)
    return metric_service_pb2.AppendMetricsRequest(
        run=START.run, writer="writer", sequence=sequence, series=columns.values()
    )


@given(logged(), st.integers(1, 2**62))
def test_bytes_are_those_of_the_contract(calls: list[Call], sequence: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.records"
        write(path, calls)
        (batch,) = batches(path, 10**9)
        encoded = encoded_request(START.run, "writer", sequence, batch.series())
    assert encoded == typed(calls, sequence).SerializeToString()
    assert batch.points == sum(len(shape) for shape, *_ in calls)


@given(logged(), st.integers(1, 300))
def test_small_batches_hold_the_same_points_in_order(calls: list[Call], most: int) -> None:
    found: dict[str, list[bytes]] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.records"
        write(path, calls)
        for batch in batches(path, most):
            assert batch.points <= max(most, *(len(shape) for shape, *_ in calls))
            for series in batch.series():
                for part in series.parts(7):
                    found.setdefault(series.key, []).append(part.values)
    for stated in typed(calls, 1).series:
        expected = struct.pack(f"<{len(stated.values)}d", *stated.values)
        assert b"".join(found[stated.key]) == expected


@given(logged(), st.data())
def test_blocks_end_where_records_end(calls: list[Call], data: st.DataObject) -> None:
    """Cut off or changed anywhere, the file's blocks hold what its records are."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.records"
        write(path, calls)
        content = bytearray(path.read_bytes())
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            del content[at:]
        else:
            content[at] ^= data.draw(st.integers(1, 255))
        path.write_bytes(content)
        descriptor = os.open(path, os.O_RDONLY)
        last = [record.end for record in read_records(descriptor)][-1:]
        assert [block.end for block in read_blocks(descriptor)][-1:] == last
        os.close(descriptor)
