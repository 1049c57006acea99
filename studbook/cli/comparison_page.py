"""The answers of `studbook model compare` and `studbook model check-inputs` on a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.cli import output
from studbook.registry.v1 import comparison_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from studbook.registry.v1.comparison_service_pb2 import (
        CompareInputsResponse,
        CompareVersionsResponse,
    )

_MEASURES = {
    pb.DRIFT_MEASURE_KIND_MISSING: "missing values",
    pb.DRIFT_MEASURE_KIND_QUANTILE_DISTANCE: "quantile distance",
    pb.DRIFT_MEASURE_KIND_PSI: "PSI",
    pb.DRIFT_MEASURE_KIND_JENSEN_SHANNON: "Jensen-Shannon",
    pb.DRIFT_MEASURE_KIND_VALUE_SHARE: "share of",
    pb.DRIFT_MEASURE_KIND_NEW_VALUES: "values that the other has not",
    pb.DRIFT_MEASURE_KIND_DISTINCT: "different values",
}
_OUTCOMES = {
    pb.COLUMN_OUTCOME_STEADY: "steady",
    pb.COLUMN_OUTCOME_DRIFTED: "drifted",
    pb.COLUMN_OUTCOME_ADDED: "only in the second",
    pb.COLUMN_OUTCOME_REMOVED: "only in the first",
    pb.COLUMN_OUTCOME_UNKNOWN: "not known",
}
_LONGEST = 40

Row = tuple[str, ...]


def print_versions(answer: CompareVersionsResponse, first: str, second: str) -> None:
    """Print what changed between two versions, as they were typed."""
    output.print_fields(
        [
            ("Verdict", pb.VersionVerdict.Name(answer.verdict).removeprefix("VERSION_VERDICT_")),
            ("Summary", answer.summary),
            *((_word(compared), _outcome(compared)) for compared in answer.aspects),
            *(("Not known", text) for text in answer.missing),
        ]
    )
    for compared in answer.aspects:
        for drift in compared.datasets:
            _print_drift(drift, f"{drift.role.capitalize()} data")
        _print_items(compared, first, second)
        if compared.compare_url:
            output.print_fields([("See", compared.compare_url)])


def _print_items(compared: pb.AspectComparison, first: str, second: str) -> None:
    headings: Row = ("WHAT", first.upper(), second.upper())
    rows: list[Row] = [
        (item.name, _shown(item.first), _shown(item.second)) for item in compared.items
    ]
    if compared.aspect == pb.ASPECT_METRICS:
        headings = (*headings, "CHANGE")
        rows = [
            (item.name, _number(item.first), _number(item.second), _change(item))
            for item in compared.items
        ]
    _print_part(compared.items and _word(compared), headings, rows)


def _number(text: str) -> str:
    """The last value of a metric: for people as many digits as can be compared by eye."""
    return output.format_number(float(text)) if text and output.for_people() else _shown(text)


def _change(item: pb.ComparedItem) -> str:
    return output.format_number(item.delta) if item.HasField("delta") else output.MISSING


def print_inputs(answer: CompareInputsResponse) -> None:
    """Print whether inputs look like training data."""
    output.print_fields(
        [
            ("Verdict", pb.InputVerdict.Name(answer.verdict).removeprefix("INPUT_VERDICT_")),
            ("Summary", answer.summary),
            ("Compared with", answer.drift.first),
            ("Rows", f"{answer.drift.second_rows} of inputs" if answer.drift.first else ""),
            *(("Not known", text) for text in answer.missing),
        ]
    )
    _print_drift(answer.drift, "Columns, in the data first and in the inputs second")


def _word(compared: pb.AspectComparison) -> str:
    return pb.Aspect.Name(compared.aspect).removeprefix("ASPECT_").capitalize()


def _outcome(compared: pb.AspectComparison) -> str:
    outcome = pb.Sameness.Name(compared.outcome).removeprefix("SAMENESS_").lower()
    drifts = [_drift_text(drift) for drift in compared.datasets]
    return "; ".join([outcome, *drifts])


def _drift_text(drift: pb.DatasetDrift) -> str:
    if drift.drift == pb.DRIFT_UNKNOWN:
        return f"whether the {drift.role} data drifted is not known"
    hits = sum(
        column.outcome not in {pb.COLUMN_OUTCOME_STEADY, pb.COLUMN_OUTCOME_UNKNOWN}
        for column in drift.columns
    )
    kinds = {column.outcome for column in drift.columns}
    moved = kinds & {pb.COLUMN_OUTCOME_ADDED, pb.COLUMN_OUTCOME_REMOVED}
    rest = ", came or went" if moved else ""
    return f"{drift.role}: {hits or 'none'} of {drift.compared_columns} columns drifted{rest}"


def _print_drift(drift: pb.DatasetDrift, title: str) -> None:
    _print_part(
        drift.columns and title,
        ("COLUMN", "OUTCOME", "FIRST", "SECOND", "EVIDENCE"),
        (
            (
                column.name,
                _OUTCOMES.get(column.outcome, "not known"),
                _figures(column, "first"),
                _figures(column, "second"),
                _evidence(column),
            )
            for column in drift.columns
        ),
    )


def _figures(column: pb.ColumnDrift, which: str) -> str:
    """Mean and deviation of numbers, the number of different values of others."""
    if not column.HasField(which):  # type: ignore[arg-type] # one of two literals
        return output.MISSING
    figures: pb.ColumnFigures = getattr(column, which)
    if figures.HasField("mean"):
        mean, deviation = map(output.format_number, (figures.mean, figures.standard_deviation))
        return f"{mean} ± {deviation}"
    if figures.HasField("distinct_estimate"):
        return f"{figures.distinct_estimate:.0f} different"
    return figures.type


def _evidence(column: pb.ColumnDrift) -> str:
    if column.reason:
        return column.reason
    drifted = [measure for measure in column.measures if measure.drifted]
    return ", ".join(map(_measure, drifted or column.measures))


def _measure(measure: pb.DriftMeasure) -> str:
    name = _MEASURES.get(measure.kind, "another measure")
    sign = ">" if measure.drifted else "≤"
    if measure.HasField("first_share") and measure.HasField("second_share"):
        about = f' "{_shown(measure.about)}"' if measure.about else ""
        shares = f"{measure.first_share:.1%} → {measure.second_share:.1%}"
        return f"{name}{about} {shares} ({sign} {measure.limit:.1%})"
    return f"{name} {measure.value:.3g} ({sign} {measure.limit:.3g})"


def _shown(text: str) -> str:
    """Digests and long texts cut for people, whole for programs."""
    if not output.for_people():
        return text
    if text.startswith("sha256:"):
        return output.short_digest(text)
    cut = text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
    return cut or output.MISSING


def _print_part(title: object, headings: Sequence[str], rows: Iterable[Row]) -> None:
    if title:
        output.print_heading(str(title))
        output.print_table(headings, rows)
