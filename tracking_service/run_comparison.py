"""Runs side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tracking_service.records import MetricSummary, Param, ParamScalar, Run


@dataclass(frozen=True, slots=True)
class ComparedParam:
    """One parameter: its value in each run, None where a run does not have it."""

    key: str
    values: tuple[ParamScalar | None, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class ComparedMetric:
    """One metric: its summary in each run, and how far its last value is from the first run's."""

    key: str
    summaries: tuple[MetricSummary | None, ...]
    deltas: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ComparedPackage:
    """One package: its version in each run, empty where it is not installed."""

    package: str
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs in the order in which they were named, and a row for each thing they have."""

    runs: tuple[Run, ...]
    params: tuple[ComparedParam, ...]
    metrics: tuple[ComparedMetric, ...]
    packages: tuple[ComparedPackage, ...]


def compare(runs: Sequence[Run]) -> Comparison:
    """Set runs side by side. All parameters and metrics, and the packages that differ."""
    return Comparison(tuple(runs), _params(runs), _metrics(runs), _packages(runs))


def _params(runs: Sequence[Run]) -> tuple[ComparedParam, ...]:
    held = [{param.key: param for param in run.params} for run in runs]
    rows = []
    for key in sorted(set().union(*held)):
        params = [of_run.get(key) for of_run in held]
        rows.append(
            ComparedParam(
                key=key,
                values=tuple(None if param is None else param.value for param in params),
                differs=not all(_same(params[0], param) for param in params),
            )
        )
    return tuple(rows)


def _same(one: Param | None, other: Param | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.same_value(other.value)


def _metrics(runs: Sequence[Run]) -> tuple[ComparedMetric, ...]:
    held = [{summary.key: summary for summary in run.metrics} for run in runs]
    rows = []
    for key in sorted(set().union(*held)):
        summaries = tuple(of_run.get(key) for of_run in held)
        deltas = tuple(_delta(summaries[0], summary) for summary in summaries)
        rows.append(ComparedMetric(key, summaries, deltas))
    return tuple(rows)


def _delta(baseline: MetricSummary | None, summary: MetricSummary | None) -> float:
    if baseline is None or summary is None:
        return math.nan
    return summary.last - baseline.last


def _packages(runs: Sequence[Run]) -> tuple[ComparedPackage, ...]:
    held = [{} if run.environment is None else run.environment.packages for run in runs]
    rows = []
    for package in sorted(set().union(*held)):
        versions = tuple(of_run.get(package, "") for of_run in held)
        if len(set(versions)) > 1:
            rows.append(ComparedPackage(package, versions))
    return tuple(rows)
