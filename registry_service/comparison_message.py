"""Comparisons as messages of the contract, with the verdict in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.comparison import Aspect, Verdict
from studbook.drift import Outcome
from studbook.drift_measures import Kind
from studbook.registry.v1 import comparison_pb2, comparison_service_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from registry_service.comparison import AspectComparison, Comparison
    from registry_service.dataset_drift import TableDrift
    from studbook.drift import ColumnDrift
    from studbook.drift_measures import Measure
    from studbook.tracking.v1.dataset_pb2 import Column

# So many columns are named in a sentence.
_MOST_NAMED = 5

_OUTCOMES: Mapping[Outcome, comparison_pb2.ColumnOutcome.ValueType] = {
    Outcome.STEADY: comparison_pb2.COLUMN_OUTCOME_STEADY,
    Outcome.DRIFTED: comparison_pb2.COLUMN_OUTCOME_DRIFTED,
    Outcome.ADDED: comparison_pb2.COLUMN_OUTCOME_ADDED,
    Outcome.REMOVED: comparison_pb2.COLUMN_OUTCOME_REMOVED,
    Outcome.UNKNOWN: comparison_pb2.COLUMN_OUTCOME_UNKNOWN,
    Outcome.UNPROFILED: comparison_pb2.COLUMN_OUTCOME_UNKNOWN,
}
_SAID = {
    Outcome.DRIFTED: "drifted",
    Outcome.ADDED: "came",
    Outcome.REMOVED: "went",
}
_KINDS: Mapping[Kind, comparison_pb2.DriftMeasureKind.ValueType] = {
    Kind.MISSING: comparison_pb2.DRIFT_MEASURE_KIND_MISSING,
    Kind.QUANTILES: comparison_pb2.DRIFT_MEASURE_KIND_QUANTILE_DISTANCE,
    Kind.PSI: comparison_pb2.DRIFT_MEASURE_KIND_PSI,
    Kind.JENSEN_SHANNON: comparison_pb2.DRIFT_MEASURE_KIND_JENSEN_SHANNON,
    Kind.SHARE: comparison_pb2.DRIFT_MEASURE_KIND_VALUE_SHARE,
    Kind.NEW: comparison_pb2.DRIFT_MEASURE_KIND_NEW_VALUES,
    Kind.DISTINCT: comparison_pb2.DRIFT_MEASURE_KIND_DISTINCT,
}


def comparison_message(
    comparison: Comparison, drifts: Sequence[TableDrift], *, all_columns: bool
) -> comparison_service_pb2.CompareVersionsResponse:
    """A comparison of two versions.

    Args:
        comparison: What was compared.
        drifts: The datasets that differ, compared by column.
        all_columns: Also columns that are steady.
    """
    datasets = [drift_message(drift, all_columns=all_columns) for drift in drifts]
    missing = [*comparison.missing, *(text for drift in drifts for text in drift.missing)]
    return comparison_service_pb2.CompareVersionsResponse(
        verdict=comparison_pb2.VersionVerdict.ValueType(comparison.verdict),
        changed=[comparison_pb2.Aspect.ValueType(aspect) for aspect in comparison.changed],
        summary=_summary(comparison, drifts),
        missing=missing,
        aspects=[_aspect(compared, datasets) for compared in comparison.aspects],
    )


def _aspect(
    compared: AspectComparison, datasets: Sequence[comparison_pb2.DatasetDrift]
) -> comparison_pb2.AspectComparison:
    return comparison_pb2.AspectComparison(
        aspect=comparison_pb2.Aspect.ValueType(compared.aspect),
        outcome=comparison_pb2.Sameness.ValueType(compared.outcome),
        items=[
            comparison_pb2.ComparedItem(
                name=item.name, first=item.first, second=item.second, delta=item.delta
            )
            for item in compared.items
        ],
        datasets=datasets if compared.aspect is Aspect.DATA else (),
        compare_url=compared.compare_url,
        missing=compared.missing,
    )


def drift_message(drift: TableDrift, *, all_columns: bool) -> comparison_pb2.DatasetDrift:
    """Two tables of one role."""
    both = sum(column.old is not None and column.new is not None for column in drift.columns)
    return comparison_pb2.DatasetDrift(
        role=drift.role,
        first=drift.first,
        second=drift.second,
        first_rows=drift.rows[0],
        second_rows=drift.rows[1],
        drift=_drift(drift),
        compared_columns=both,
        columns=[
            _column(column, drift.rows)
            for column in drift.columns
            if all_columns or column.outcome is not Outcome.STEADY
        ],
        missing=drift.missing,
    )


def _drift(drift: TableDrift) -> comparison_pb2.Drift.ValueType:
    if drift.hits:
        return comparison_pb2.DRIFT_DRIFTED
    return comparison_pb2.DRIFT_UNKNOWN if drift.missing else comparison_pb2.DRIFT_STEADY


def _column(column: ColumnDrift, rows: tuple[int, int]) -> comparison_pb2.ColumnDrift:
    return comparison_pb2.ColumnDrift(
        name=column.name,
        outcome=_OUTCOMES[column.outcome],
        measures=map(_measure, column.measures),
        reason=column.reason,
        first=column.old and _figures(column.old, rows[0]),
        second=column.new and _figures(column.new, rows[1]),
    )


def _measure(measure: Measure) -> comparison_pb2.DriftMeasure:
    return comparison_pb2.DriftMeasure(
        kind=_KINDS[measure.kind],
        value=measure.value,
        limit=measure.limit,
        drifted=measure.drifted,
        about=measure.about,
        first_share=measure.old,
        second_share=measure.new,
    )


def _figures(column: Column, rows: int) -> comparison_pb2.ColumnFigures:
    figures = comparison_pb2.ColumnFigures(
        type=column.type, missing_share=column.null_count / rows if rows > 0 else 0.0
    )
    if column.HasField("profile"):
        figures.distinct_estimate = column.profile.distinct_estimate
    if column.profile.HasField("numbers"):
        numbers = column.profile.numbers
        figures.min, figures.max = numbers.min, numbers.max
        figures.mean, figures.standard_deviation = numbers.mean, numbers.standard_deviation
    return figures


def _summary(comparison: Comparison, drifts: Sequence[TableDrift]) -> str:
    changed = [aspect.name.lower() for aspect in comparison.changed]
    match comparison.verdict:
        case Verdict.NOTHING_CHANGED:
            return "Data, code, parameters and environment are the same, and so are the files."
        case Verdict.UNKNOWN:
            return "Nothing is known to have changed, but not everything is known."
        case _:
            first = f"{_and(changed).capitalize()} changed."
    if Aspect.DATA not in comparison.changed:
        return first
    return " ".join([first, *(_drift_sentence(drift) for drift in drifts if drift.columns)])


def _drift_sentence(drift: TableDrift) -> str:
    if not drift.hits:
        rest = ", as far as is known" if drift.missing else ""
        return f"No column of the {drift.role} data drifted{rest}."
    both = sum(column.old is not None and column.new is not None for column in drift.columns)
    parts = []
    for outcome, said in _SAID.items():
        hits = [column for column in drift.hits if column.outcome is outcome]
        if hits:
            parts.append(f"{len(hits)} {said} ({named(hits)})")
    return f"Of the {drift.role} data, with {both} columns in both, {_and(parts)}."


def named(columns: Iterable[ColumnDrift]) -> str:
    """The names of the first columns, and how many more there are."""
    names = [column.name for column in columns]
    shown = ", ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{shown} and {more} more" if more > 0 else shown


def _and(words: Sequence[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
