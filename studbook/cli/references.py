"""What people type for runs and moments, and short forms of resource names to print.

Models and versions are read by `studbook.model_reference`. Runs are written `wine/brave-otter` or
just `brave-otter`; full resource names are taken everywhere. What cannot be read is a usage error,
told before any call is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import typer

from studbook.model_reference import Reference, parse_reference

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")


def names_version(text: str) -> bool:
    """Whether a number or a stage was typed behind the model."""
    return "@" in text or "/versions/" in text


def numbered_version(text: str) -> Reference:
    """The version where only a number will do, e.g. for one that is to be registered."""
    reference = parse_reference(text)
    if not reference.version:
        raise typer.BadParameter(f'"{text}" does not name a version; write it NAME@1.2.0.')
    return reference


def version_number(text: str) -> str:
    """The number in `1.2.0`, `v1.2.0` or `NAME@1.2.0`."""
    return numbered_version(text if names_version(text) else f"model@{text}").version


def expected_production(text: str) -> str | None:
    """The number of the version that a caller believes to be in Production, or `none`.

    Args:
        text: A version, `none`, or nothing, which means that it is not to be checked.
    """
    if text in {"", "none"}:
        return text or None
    return version_number(text)


@dataclass(frozen=True)
class RunReference:
    """A run as typed: all of its name, or only its last segment.

    Attributes:
        name: Resource name; empty when the experiment was not named.
        run_id: Last segment of the name.
    """

    name: str
    run_id: str


def run_reference(text: str, workspace: str) -> RunReference:
    """Read `EXPERIMENT/RUN`, `RUN` or the full name of a run.

    Args:
        text: As typed.
        workspace: Resource name of the workspace that short forms belong to.
    """
    if text.startswith("workspaces/"):
        return RunReference(text, text.rpartition("/")[2])
    experiment, slash, run_id = text.rpartition("/")
    _checked_id(run_id, "run")
    if not slash:
        return RunReference("", run_id)
    _checked_id(experiment, "experiment")
    return RunReference(f"{workspace}/experiments/{experiment}/runs/{run_id}", run_id)


def experiment_name(text: str, workspace: str) -> str:
    """Resource name of an experiment; `-`, all of them, when nothing was typed."""
    if text.startswith("workspaces/"):
        return text
    return f"{workspace}/experiments/{_checked_id(text, 'experiment') if text else '-'}"


def moment(text: str) -> datetime:
    """A moment in ISO 8601 with its time zone, e.g. `2026-03-03T14:05:00Z`."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        message = f'"{text}" is not a time; write it like 2026-03-03T14:05:00Z.'
        raise typer.BadParameter(message) from None
    if read.tzinfo is None:
        raise typer.BadParameter(f'"{text}" has no time zone; write {text}Z for UTC.')
    return read.astimezone(UTC)


def short_run(name: str) -> str:
    """`EXPERIMENT/RUN` for the resource name of a run."""
    parts = name.split("/")
    return f"{parts[3]}/{parts[5]}" if len(parts) == 6 else name


def short_version(name: str) -> str:
    """`NAME@1.2.0` for the resource name of a version."""
    parts = name.split("/")
    return f"{parts[3]}@{parts[5]}" if len(parts) == 6 else name


def last_segment(name: str) -> str:
    """The id at the end of a resource name."""
    return name.rpartition("/")[2]


def _checked_id(text: str, noun: str) -> str:
    if _ID.fullmatch(text):
        return text
    message = (
        f'"{text}" is not the name of a {noun}: 1 to 128 of a-z 0-9 - _ . '
        "beginning with a letter or digit."
    )
    raise typer.BadParameter(message)
