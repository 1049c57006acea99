"""Merging of small chunks: readers and writers do not notice, on both databases."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from studbook.tracking.v1 import metric_service_pb2 as pb
from tests.store.tracking.at_work import ADA, batch
from tracking_service import chunk_merging, metric_reading, series_reading
from tracking_service.merging import Merger
from tracking_service.tables import metric_chunks, metric_series

if TYPE_CHECKING:
    from tests.store.tracking.at_work import Tracking


def chunks(tracking: Tracking) -> int:
    count = sa.select(sa.func.count()).select_from(metric_chunks)
    return int(
        tracking.database.read_now(lambda connection: connection.execute(count).scalar_one())
    )


def merge(tracking: Tracking) -> int:
    return asyncio.run(Merger(tracking.database).merge())


def fill(tracking: Tracking, run: str, batches: int, seed: int = 1) -> list[tuple[int, float]]:
    """Append batches of a few points in no order of steps; returns all, as readers see them."""
    order = random.Random(seed)  # noqa: S311 - any order will do
    points: list[tuple[int, float]] = []
    for sequence in range(1, batches + 1):
        some = [
            (order.randrange(-40, 40), float(len(points) + i)) for i in range(order.randint(1, 5))
        ]
        tracking.append(run, sequence=sequence, loss=some)
        points += some
    return sorted(points, key=lambda point: point[0])


def test_many_small_chunks_become_one_with_the_same_points(tracking: Tracking) -> None:
    run = tracking.run().name
    points = fill(tracking, run, 40)
    before = tracking.get(run)

    replaced = merge(tracking)

    assert replaced == 40
    assert chunks(tracking) == 1
    assert tracking.points(run) == points
    assert tracking.get(run) == before
    assert merge(tracking) == 0


def test_few_chunks_are_left_alone(tracking: Tracking) -> None:
    run = tracking.run().name
    fill(tracking, run, 10)

    assert merge(tracking) == 0
    assert chunks(tracking) == 10


def test_batches_go_on_after_merging_and_count_once(tracking: Tracking) -> None:
    run = tracking.run().name
    fill(tracking, run, 20)
    merge(tracking)

    assert tracking.append(run, sequence=20, loss=[(99, 1.0)]) == 20
    assert tracking.append(run, sequence=21, loss=[(99, 2.0)]) == 21
    assert tracking.points(run, min_step=99) == [(99, 2.0)]
    assert tracking.get(run).metrics[0].count == len(tracking.points(run))


def test_nobody_sees_points_twice_or_not_at_all(tracking: Tracking) -> None:
    run = tracking.run().name
    request = pb.ReadMetricsRequest(runs=[run], keys=["loss"])

    async def write() -> None:
        for sequence in range(1, 121):
            one = batch(run, sequence=sequence, loss=[(sequence, float(sequence))])
            await tracking.call_async("AppendMetrics", one, ADA)

    async def watch(writing: asyncio.Task[None]) -> int:
        seen = looks = 0
        while not writing.done() or not looks:
            parts = await tracking.call_async("ReadMetrics", request, ADA)
            steps = [step for part in parts for step in part.series.steps]
            assert steps == list(range(1, len(steps) + 1))
            assert len(steps) >= seen
            seen, looks = len(steps), looks + 1
        return looks

    async def replicas(writing: asyncio.Task[None]) -> int:
        replaced = 0
        while not writing.done():
            both = [Merger(tracking.database).merge() for _ in range(2)]
            replaced += sum(await asyncio.gather(*both))
            await asyncio.sleep(0)
        return replaced

    async def everything() -> tuple[int, int]:
        writing = asyncio.create_task(write())
        looks, replaced, _ = await asyncio.gather(watch(writing), replicas(writing), writing)
        return looks, replaced

    looks, replaced = asyncio.run(everything())

    assert looks
    assert replaced
    assert [step for step, _ in tracking.points(run)] == list(range(1, 121))
    assert chunks(tracking) < 60


def test_two_who_merge_the_same_chunks_do_so_once(
    tracking: Tracking, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tracking.run().name
    points = fill(tracking, run, 30)
    merged = chunk_merging.merge
    other: list[int] = []

    def merge_while_another_does(data: Any) -> Any:
        if not other:
            other.append(0)
            other.append(merge(tracking))
        return merged(data)

    monkeypatch.setattr(chunk_merging, "merge", merge_while_another_does)

    assert merge(tracking) == 0
    assert other[1] == 30
    assert tracking.points(run) == points
    unmerged = sa.select(metric_series.c.unmerged)
    assert tracking.database.read_now(lambda c: c.execute(unmerged).scalar_one()) == 0


@pytest.mark.parametrize("merged", [False, True])
def test_a_long_series_is_read_in_portions(
    tracking: Tracking,
    monkeypatch: pytest.MonkeyPatch,
    merged: bool,
) -> None:
    run = tracking.run().name
    steps = 400
    for sequence in range(1, 41):
        first = (sequence - 1) * 10
        some = [(first + i, float(first + i)) for i in range(10)]
        tracking.append(run, sequence=sequence, loss=some)
    if merged:
        merge(tracking)
    monkeypatch.setattr(metric_reading, "POINTS_A_PORTION", 50)
    monkeypatch.setattr(series_reading.end_of_portion, "__defaults__", (50,))

    def read(**arguments: Any) -> tuple[list[int], set[int], int]:
        parts = tracking.call("ReadMetrics", pb.ReadMetricsRequest(runs=[run], **arguments))
        read = [step for part in parts for step in part.series.steps]
        return read, {part.total_points for part in parts}, len(parts)

    whole, totals, parts = read()
    assert (whole, totals) == (list(range(steps)), {steps})
    assert parts == (1 if merged else 8)
    within, totals, _ = read(min_step=15, max_step=333)
    assert (within, totals) == (list(range(15, 334)), {319})
    reduced, totals, parts = read(max_points=20)
    assert (reduced[0], reduced[-1], totals, parts) == (0, 399, {steps}, 1)
    assert len(reduced) <= 20
