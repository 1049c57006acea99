"""What came of a dataset or a version, as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.cli import output
from studbook.cli.model_tables import stage_text
from studbook.cli.references import short_version

if TYPE_CHECKING:
    from collections.abc import Sequence

    from studbook.registry.v1.lineage_pb2 import LineageParent
    from studbook.registry.v1.lineage_service_pb2 import DerivedVersion, StageInterval

_HEADINGS = ("VERSION", "STAGE", "HOW", "IN PRODUCTION")


def print_derived(found: Sequence[DerivedVersion]) -> None:
    """One line for each version: how it came of it, and when it was in Production."""
    if not found:
        output.note("No version that you may see came of it.")
        return
    rows = (
        (
            short_version(one.version.name),
            stage_text(one.version.stage),
            how(one),
            ", ".join(map(_interval, one.production)) or "never",
        )
        for one in found
    )
    output.print_table(_HEADINGS, rows)


def how(one: DerivedVersion) -> str:
    """In which roles it used the data itself, and through which parents it came of it."""
    roles = sorted({used.role or "data" for used in one.datasets})
    return ", ".join([*roles, *(f"from {parent_text(parent)}" for parent in one.parents)])


def parent_text(parent: LineageParent) -> str:
    """A parent in short form."""
    return short_version(parent.version) if parent.version else parent.uri


def _interval(interval: StageInterval) -> str:
    end = output.row_time(interval.end_time) if interval.HasField("end_time") else "now"
    return f"{output.row_time(interval.start_time)} to {end}"
