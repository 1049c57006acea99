"""What instances have loaded, beside what is in Production, as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.cli import output
from studbook.cli.references import last_segment
from studbook.registry.v1.loaded_pb2 import (
    LOADED_MATCH_OTHER_BYTES,
    LOADED_MATCH_OTHER_VERSION,
    LOADED_MATCH_PRODUCTION,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from google.protobuf.timestamp_pb2 import Timestamp

    from studbook.registry.v1.loaded_pb2 import LoadedVersion

_MATCHES = {
    LOADED_MATCH_PRODUCTION: "as in Production",
    LOADED_MATCH_OTHER_VERSION: "another version",
    LOADED_MATCH_OTHER_BYTES: "OTHER BYTES",
}


def in_production(number: str, since: Timestamp | None, loaded: Sequence[LoadedVersion]) -> str:
    """What is in Production, since when, and how many instances have loaded just that."""
    if not number:
        return "none"
    begun = f"{number} since {output.format_time(since)}" if since is not None else number
    same = [report for report in loaded if report.match == LOADED_MATCH_PRODUCTION]
    if not same:
        return f"{begun}; no instance has reported that it loaded it"
    last = max(same, key=lambda report: report.report_time.ToMicroseconds())
    seen = output.format_second(last.report_time)
    return f"{begun}; loaded by {_instances(len(same))}, last seen {seen}"


def mismatch(loaded: Sequence[LoadedVersion]) -> str:
    """How many instances have loaded something else; empty when none has."""
    count = sum(report.match != LOADED_MATCH_PRODUCTION for report in loaded)
    if not count:
        return ""
    return f"{_instances(count)} loaded something else than what is in Production"


def print_loaded(loaded: Sequence[LoadedVersion]) -> None:
    """One line for each instance; those that loaded something else first."""
    output.print_heading("Loaded")
    rows = (
        (
            report.instance,
            last_segment(report.version),
            _MATCHES.get(report.match, f"match {report.match}"),
            output.row_time(report.load_time),
            output.row_time(report.report_time),
            report.reporter.id or output.MISSING,
        )
        for report in sorted(loaded, key=lambda report: -report.match)
    )
    output.print_table(("INSTANCE", "VERSION", "WHAT", "LOADED", "LAST SEEN", "BY"), rows)


def _instances(count: int) -> str:
    return f"{count} {'instance' if count == 1 else 'instances'}"
