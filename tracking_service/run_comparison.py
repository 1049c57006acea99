"""Runs side by side, each against one that is the baseline."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tracking_service.code_comparison import compare_code
from tracking_service.run_facts import facts_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tracking_service.code_comparison import CodeDifference
    from tracking_service.records import MetricSummary, Param, ParamScalar, Run


@dataclass(frozen=True, slots=True)
class ComparedParam:
    """One parameter: its value in each run, None where a run does not have it."""

    key: str
    values: tuple[ParamScalar | None, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class ComparedMetric:
    """One metric: its summary in each run, and how far its last value is from the baseline's."""

    key: str
    summaries: tuple[MetricSummary | None, ...]
    deltas: tuple[float, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class ComparedPackage:
    """One package: its version in each run, empty where it is not installed."""

    package: str
    versions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ComparedDataset:
    """One dataset in one role: the versions that each run used, and the digests of their bytes.

    Attributes:
        role: What it was used for.
        dataset: Resource name without the version.
        versions: Version ids for each run.
        digests: Digests for each run, in the same order.
        differs: Whether not all runs used the same bytes.
    """

    role: str
    dataset: str
    versions: tuple[tuple[str, ...], ...]
    digests: tuple[tuple[str, ...], ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class ComparedFact:
    """One fact about environment or code: what it is in each run, empty where it is not known."""

    field: str
    values: tuple[str, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs in the order in which they were named, and a row for each thing they have."""

    runs: tuple[Run, ...]
    baseline: int
    params: tuple[ComparedParam, ...]
    metrics: tuple[ComparedMetric, ...]
    packages: tuple[ComparedPackage, ...]
    datasets: tuple[ComparedDataset, ...]
    facts: tuple[ComparedFact, ...]
    code: tuple[CodeDifference, ...]


def compare(runs: Sequence[Run], baseline: int = 0) -> Comparison:
    """Set runs side by side: everything that any of them has, but packages only if they differ.

    Args:
        runs: The runs, with all that was logged.
        baseline: Place of the run that the others are measured against.
    """
    return Comparison(
        runs=tuple(runs),
        baseline=baseline,
        params=_params(runs),
        metrics=_metrics(runs, baseline),
        packages=_packages(runs),
        datasets=_datasets(runs),
        facts=_facts(runs),
        code=tuple(compare_code(runs[baseline].code, run.code) for run in runs),
    )


def without_rows(run: Run) -> Run:
    """A compared run without what the rows tell of it, and without the names of untracked files."""
    environment, code = run.environment, run.code
    if environment is not None:
        conda = environment.conda and replace(environment.conda, packages={})
        environment = replace(environment, packages={}, conda=conda)
    if code is not None:
        code = replace(code, untracked_files=())
    return replace(
        run, params=(), metrics=(), dataset_inputs=(), environment=environment, code=code
    )


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


def _metrics(runs: Sequence[Run], baseline: int) -> tuple[ComparedMetric, ...]:
    held = [{summary.key: summary for summary in run.metrics} for run in runs]
    rows = []
    for key in sorted(set().union(*held)):
        summaries = tuple(of_run.get(key) for of_run in held)
        rows.append(
            ComparedMetric(
                key=key,
                summaries=summaries,
                deltas=tuple(_delta(summaries[baseline], summary) for summary in summaries),
                differs=not all(_same_last(summaries[0], summary) for summary in summaries),
            )
        )
    return tuple(rows)


def _delta(baseline: MetricSummary | None, summary: MetricSummary | None) -> float:
    if baseline is None or summary is None:
        return math.nan
    return summary.last - baseline.last


def _same_last(one: MetricSummary | None, other: MetricSummary | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.last == other.last or (math.isnan(one.last) and math.isnan(other.last))


def _packages(runs: Sequence[Run]) -> tuple[ComparedPackage, ...]:
    held = [{} if run.environment is None else run.environment.packages for run in runs]
    return tuple(ComparedPackage(name, versions) for name, versions in _differing(held))


def _datasets(runs: Sequence[Run]) -> tuple[ComparedDataset, ...]:
    held: list[dict[tuple[str, str], list[tuple[str, str]]]] = []
    for run in runs:
        used: dict[tuple[str, str], list[tuple[str, str]]] = {}
        for entry in run.dataset_inputs:
            dataset, _, version = entry.dataset.rpartition("/versions/")
            used.setdefault((entry.role, dataset), []).append((version, entry.digest))
        held.append(used)
    rows = []
    for role, dataset in sorted(set().union(*held)):
        of_runs = [used.get((role, dataset), []) for used in held]
        digests = tuple(tuple(digest for _, digest in of_run) for of_run in of_runs)
        rows.append(
            ComparedDataset(
                role=role,
                dataset=dataset,
                versions=tuple(tuple(version for version, _ in of_run) for of_run in of_runs),
                digests=digests,
                differs=len({frozenset(of_run) for of_run in digests}) > 1,
            )
        )
    return tuple(rows)


def _facts(runs: Sequence[Run]) -> tuple[ComparedFact, ...]:
    held = [facts_of(run) for run in runs]
    rows = []
    for field in sorted(set().union(*held)):
        values = tuple(of_run.get(field, "") for of_run in held)
        rows.append(ComparedFact(field, values, differs=len(set(values)) > 1))
    rows += [
        ComparedFact(f"environment.conda.packages.{name}", versions, differs=True)
        for name, versions in _differing(_conda_packages(runs))
    ]
    return tuple(sorted(rows, key=lambda row: row.field))


def _conda_packages(runs: Sequence[Run]) -> Sequence[Mapping[str, str]]:
    """What conda had installed; nothing where not all have it, as then all would differ."""
    of_runs = [run.environment and run.environment.conda for run in runs]
    return [{} if conda is None else conda.packages for conda in of_runs] if all(of_runs) else [{}]


def _differing(held: Sequence[Mapping[str, str]]) -> list[tuple[str, tuple[str, ...]]]:
    """Names with what stands under them in each of the runs, where that is not the same."""
    # Of thousands of entries few differ, and often none. What differs differs from the first run.
    first = held[0]
    unlike = [first.items() ^ of_run.items() for of_run in held if of_run != first]
    names = sorted({name for entries in unlike for name, _ in entries})
    return [(name, tuple(of_run.get(name, "") for of_run in held)) for name in names]
