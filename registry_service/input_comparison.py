"""Inputs of a model against the data that it was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry_service.comparison_message import drift_message, named
from registry_service.dataset_drift import TableDrift
from service_chassis.errors import invalid_field, required_field
from service_chassis.validation import check_count, check_not_negative, check_text
from studbook.drift import TableProfile, compare_tables, rows_needed
from studbook.registry.v1 import comparison_pb2, comparison_service_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_service.comparison import UsedDataset
    from studbook.drift import ColumnDrift
    from studbook.tracking.v1.dataset_pb2 import Column

_TRAINING = "training"
_LONGEST_ROLE = 64
_LONGEST_NAME = 256
_MOST_COLUMNS = 10_000
_MOST_IGNORED = 1000
_MOST_PROFILE_BYTES = 4096
_MOST_ROWS = 2**63 - 1


@dataclass(frozen=True)
class Inputs:
    """Inputs, and with what they are compared.

    Attributes:
        role: Role of the dataset.
        table: What the inputs look like.
        ignored: Columns that are left out.
    """

    role: str
    table: TableProfile
    ignored: frozenset[str]


def read_inputs(request: comparison_service_pb2.CompareInputsRequest) -> Inputs:
    """The inputs of a request.

    Raises:
        StudbookError: FIELD_REQUIRED or FIELD_INVALID.
    """
    given = request.inputs
    if not given.columns:
        raise required_field("inputs.columns", "make it with studbook.profile_inputs")
    check_count(given.columns, "inputs.columns", _MOST_COLUMNS)
    rows = check_not_negative(given.row_count, "inputs.row_count")
    for index, column in enumerate(given.columns):
        _check_column(column, f"inputs.columns[{index}]", rows)
    check_count(request.ignored_columns, "ignored_columns", _MOST_IGNORED)
    return Inputs(
        check_text(request.role, "role", _LONGEST_ROLE) or _TRAINING,
        TableProfile(rows, given.columns),
        frozenset(request.ignored_columns),
    )


def _check_column(column: Column, field: str, rows: int) -> None:
    check_text(column.name, f"{field}.name", _LONGEST_NAME, required=True)
    check_text(column.type, f"{field}.type", _LONGEST_NAME, required=True)
    if not 0 <= column.null_count <= rows:
        raise invalid_field(
            f"{field}.null_count", column.null_count, f"give 0 to {rows}, the number of rows"
        )
    size = column.profile.ByteSize()
    if size > _MOST_PROFILE_BYTES:
        raise invalid_field(
            f"{field}.profile", f"{size} bytes", f"give at most {_MOST_PROFILE_BYTES} bytes"
        )


def compare_inputs(
    inputs: Inputs,
    version: str,
    found: Sequence[tuple[UsedDataset, TableProfile | str]],
    *,
    all_columns: bool,
) -> comparison_service_pb2.CompareInputsResponse:
    """Compare inputs with the dataset that they have most columns in common with.

    Args:
        inputs: The inputs.
        version: Name of the version, for what is said of it.
        found: The datasets of the role, each with its profile or why that is not to be had.
        all_columns: Also give columns that are steady.
    """
    tables = [(used, table) for used, table in found if isinstance(table, TableProfile)]
    if not tables:
        missing = [why for _, why in found if isinstance(why, str)] or [
            f"{version} has no dataset in the role {inputs.role}."
        ]
        return _unknown(missing)
    used, trained = max(tables, key=lambda pair: len(_common(pair[1], inputs)))
    common = _common(trained, inputs)
    drift = TableDrift(
        inputs.role, used.name, "", (trained.row_count, inputs.table.row_count), of_inputs=True
    ).with_columns(_columns(trained, inputs, common))
    missing = [*drift.missing, *_too_little(inputs, version, common)]
    answer = _unknown(missing)
    if drift.hits:
        answer.verdict = comparison_pb2.INPUT_VERDICT_INPUT_DRIFTED
        answer.summary = f"The inputs are not what {version} was trained on: {named(drift.hits)}."
    elif not missing:
        answer.verdict = comparison_pb2.INPUT_VERDICT_INPUT_AS_TRAINED
        absent = [column for column in drift.columns if column.new is None]
        beside = f" Not among the inputs: {named(absent)}." if absent else ""
        answer.summary = (
            f"The inputs look like what {version} was trained on, in all of {len(common)} columns."
            f"{beside}"
        )
    answer.drift.CopyFrom(drift_message(drift, all_columns=all_columns))
    return answer


def _common(trained: TableProfile, inputs: Inputs) -> frozenset[str]:
    names = {column.name for column in inputs.table.columns} - inputs.ignored
    return frozenset(column.name for column in trained.columns if column.name in names)


def _columns(
    trained: TableProfile, inputs: Inputs, common: frozenset[str]
) -> tuple[ColumnDrift, ...]:
    """Columns of both, compared; then those that only one has."""
    tables = (trained, inputs.table)

    def those(*, of_both: bool) -> tuple[ColumnDrift, ...]:
        return compare_tables(
            *(
                TableProfile(
                    table.row_count,
                    [
                        column
                        for column in table.columns
                        if column.name not in inputs.ignored and (column.name in common) is of_both
                    ],
                )
                for table in tables
            )
        )

    return (*those(of_both=True), *those(of_both=False))


def _too_little(inputs: Inputs, version: str, common: frozenset[str]) -> list[str]:
    """Why nothing can be said, in sentences."""
    if not common:
        return [f"The inputs have none of the columns that {version} was trained on."]
    rows, needed = inputs.table.row_count, rows_needed(len(common))
    if rows < needed:
        return [f"{rows} rows tell too little of {len(common)} columns; give at least {needed}."]
    return []


def _unknown(missing: Sequence[str]) -> comparison_service_pb2.CompareInputsResponse:
    return comparison_service_pb2.CompareInputsResponse(
        verdict=comparison_pb2.INPUT_VERDICT_UNKNOWN,
        summary="Whether the inputs look like the training data is not known.",
        missing=missing,
    )
