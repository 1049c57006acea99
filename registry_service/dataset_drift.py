"""Comparing datasets by the profiles that the tracking service has of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from service_chassis.errors import StudbookError
from studbook.drift import Outcome, TableProfile, compare_tables, drifted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from registry_service.comparison import DatasetPair, UsedDataset
    from registry_service.tracking_client import TrackingClient
    from service_chassis.caller import Caller
    from studbook.drift import ColumnDrift


@dataclass(frozen=True)
class TableDrift:
    """Two tables of one role, compared.

    Attributes:
        role: What they were used for.
        first: Name of the first dataset version; empty when there is none.
        second: Name of the second.
        rows: Their numbers of rows; -1 for what is no table.
        columns: What became of each column.
        missing: What is not known, and why, in sentences.
        of_inputs: The second table are inputs, which need not have all columns of the first, such
            as the label.
    """

    role: str
    first: str
    second: str
    rows: tuple[int, int]
    columns: tuple[ColumnDrift, ...] = ()
    missing: tuple[str, ...] = ()
    of_inputs: bool = False

    @property
    def hits(self) -> list[ColumnDrift]:
        """The columns that make the verdict."""
        hits = drifted(self.columns)
        return [column for column in hits if column.old and column.new] if self.of_inputs else hits

    def with_columns(self, columns: tuple[ColumnDrift, ...]) -> TableDrift:
        """The same with the outcome of a comparison."""
        unknown = [column for column in columns if column.outcome is Outcome.UNKNOWN]
        missing = list(self.missing)
        if not columns:
            missing.append(f"No columns were recorded of {self.first}.")
        by_reason: dict[str, list[str]] = {}
        for column in unknown:
            by_reason.setdefault(column.reason, []).append(column.name)
        missing += [
            f"Whether {_listed(names)} of the {self.role} data drifted: {reason}."
            for reason, names in by_reason.items()
        ]
        return replace(self, columns=columns, missing=tuple(missing))


class DatasetComparer:
    """Compares datasets.

    Args:
        tracking: Where profiles are known.
    """

    def __init__(self, tracking: TrackingClient) -> None:
        self._tracking = tracking

    async def compare_all(
        self, caller: Caller, pairs: Sequence[DatasetPair]
    ) -> tuple[TableDrift, ...]:
        """Compare the datasets of each pair; what keeps one from being compared is in `missing`."""
        return tuple(await asyncio.gather(*(self._compare(caller, pair) for pair in pairs)))

    async def _compare(self, caller: Caller, pair: DatasetPair) -> TableDrift:
        first, second = pair.first, pair.second
        drift = TableDrift(
            pair.role,
            first.name if first else "",
            second.name if second else "",
            (first.row_count if first else -1, second.row_count if second else -1),
        )
        if first is None or second is None:
            present, side = drift.first or drift.second, "second" if second is None else "first"
            reason = f"{present} has no counterpart in the {side} version."
            return replace(drift, missing=(reason,))
        no_table = tuple(
            f"{used.name} is no table, so it has no columns to compare."
            for used in (first, second)
            if used.row_count < 0
        )
        if no_table:
            return replace(drift, missing=no_table)
        found = await asyncio.gather(self.read(caller, first), self.read(caller, second))
        tables = [table for table in found if isinstance(table, TableProfile)]
        if len(tables) < len(found):
            unread = tuple(reason for reason in found if isinstance(reason, str))
            return replace(drift, missing=unread)
        # Hundreds of columns take long enough to hold up other calls.
        return drift.with_columns(await asyncio.to_thread(compare_tables, *tables))

    async def read(self, caller: Caller, used: UsedDataset) -> TableProfile | str:
        """The profile of a dataset, or why it is not to be had."""
        try:
            dataset = await self._tracking.dataset(caller, used.name)
        except StudbookError as error:
            return f"{used.name} could not be looked at: {error.message}"
        if dataset.digest != used.digest:
            return f"{used.name} is no longer the dataset that was used."
        return TableProfile(dataset.row_count, dataset.columns)


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:5])
    return shown if len(names) <= 5 else f"{shown} and {len(names) - 5} more columns"
