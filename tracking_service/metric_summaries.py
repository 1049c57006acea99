"""Summaries of metrics: of one batch, and of what there was with what came."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from tracking_service.records import MetricSummary

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from tracking_service.records import Points


def summarise(key: str, points: Points) -> MetricSummary:
    """The summary of points in order of arrival; there must be at least one."""
    if len(points) == 1:
        # Many batches are one step of a training; looking for extremes takes ten times as long.
        return _of_one(key, points.steps.item(), points.times_us.item(), points.values.item())
    values = points.values
    # The latest to arrive among the highest steps: the first when read backwards.
    last = len(points) - 1 - int(np.argmax(points.steps[::-1]))
    smallest, largest = _extremes(values)
    mean, finite_count = _mean_of_finite(values)
    return MetricSummary(
        key=key,
        first=float(values[0]),
        last=float(values[last]),
        min=math.nan if smallest is None else float(values[smallest]),
        max=math.nan if largest is None else float(values[largest]),
        mean=mean,
        count=len(points),
        finite_count=finite_count,
        last_step=int(points.steps[last]),
        min_step=0 if smallest is None else int(points.steps[smallest]),
        max_step=0 if largest is None else int(points.steps[largest]),
        last_time_us=int(points.times_us[last]),
    )


def merge(before: MetricSummary, batch: MetricSummary) -> MetricSummary:
    """The summary of the points of both, those of `before` having arrived first."""
    newest = batch if batch.last_step >= before.last_step else before
    # NaN loses every comparison, so it gives way to any number that comes.
    lowest = batch if batch.min < before.min or math.isnan(before.min) else before
    highest = batch if batch.max > before.max or math.isnan(before.max) else before
    mean, finite_count = _merged_mean(before, batch)
    return MetricSummary(
        key=before.key,
        first=before.first,
        last=newest.last,
        min=lowest.min,
        max=highest.max,
        mean=mean,
        count=before.count + batch.count,
        finite_count=finite_count,
        last_step=newest.last_step,
        min_step=lowest.min_step,
        max_step=highest.max_step,
        last_time_us=newest.last_time_us,
    )


def _of_one(key: str, step: int, time_us: int, value: float) -> MetricSummary:
    is_nan = math.isnan(value)
    is_finite = math.isfinite(value)
    return MetricSummary(
        key=key,
        first=value,
        last=value,
        min=value,
        max=value,
        mean=value if is_finite else math.nan,
        count=1,
        finite_count=int(is_finite),
        last_step=step,
        min_step=0 if is_nan else step,
        max_step=0 if is_nan else step,
        last_time_us=time_us,
    )


def _extremes(values: NDArray[np.float64]) -> tuple[int | None, int | None]:
    """Index of the smallest and of the largest number, the first of several; NaN is neither."""
    numbers = np.flatnonzero(~np.isnan(values))
    if not len(numbers):
        return None, None
    compared = values[numbers]
    return int(numbers[np.argmin(compared)]), int(numbers[np.argmax(compared)])


def _mean_of_finite(values: NDArray[np.float64]) -> tuple[float, int]:
    finite = values[np.isfinite(values)]
    count = len(finite)
    if not count:
        return math.nan, 0
    with np.errstate(over="ignore"):
        mean = float(finite.mean())
    # The sum of very large numbers overflows although their mean does not.
    return (mean if math.isfinite(mean) else float((finite / count).sum())), count


def _merged_mean(before: MetricSummary, batch: MetricSummary) -> tuple[float, int]:
    count = before.finite_count + batch.finite_count
    if not before.finite_count or not batch.finite_count:
        return (batch if batch.finite_count else before).mean, count
    share = batch.finite_count / count
    return before.mean * (1 - share) + batch.mean * share, count
