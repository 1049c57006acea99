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

from studbook.model_reference import Reference, parse_reference, parse_version

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")

_MACHINE_MADE = re.compile(r"[0-9a-f]{32}")
# So many digits tell any two runs of a workspace apart, and a command takes them for the whole id.
_DIGITS_SHOWN = 12


def names_version(text: str) -> bool:
    """Whether a number or a stage was typed behind the model."""
    return "@" in text or "/versions/" in text


def numbered_version(text: str) -> Reference:
    """The version where only a number will do, e.g. for one that is to be registered."""
    reference = parse_reference(text)
    if not reference.version:
        raise typer.BadParameter(f'"{text}" does not name a version; write it NAME@1.2.0.')
    return reference


def version_to_register(text: str, next_part: str) -> Reference:
    """The number of a version to be registered, or which comes next.

    Args:
        text: `NAME@1.2.0`, or `NAME` when the next number is wanted.
        next_part: `patch`, `minor` or `major`; empty when a number is given.
    """
    if not next_part:
        return numbered_version(text)
    if names_version(text):
        raise typer.BadParameter(f'"{text}" gives a number; leave it out, or leave out --next.')
    return parse_version(text, f"next-{next_part}")


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
    """A run as typed.

    Attributes:
        name: Resource name when all of it was typed, else empty: an id may be the beginning of one.
        parent: Resource name of the experiment; of all of them, `-`, when none was typed.
        run_id: The run's id, or the beginning of it.
    """

    name: str
    parent: str
    run_id: str


def run_reference(text: str, workspace: str) -> RunReference:
    """Read `EXPERIMENT/RUN`, `RUN` or the full name of a run.

    Args:
        text: As typed.
        workspace: Resource name of the workspace that short forms belong to.
    """
    if text.startswith("workspaces/"):
        parent, _, run_id = text.rpartition("/runs/")
        return RunReference(text, parent, run_id)
    experiment, slash, run_id = text.rpartition("/")
    _checked_id(run_id, "run")
    parent = experiment_name(_checked_id(experiment, "experiment") if slash else "", workspace)
    whole = slash and _MACHINE_MADE.fullmatch(run_id)
    return RunReference(f"{parent}/runs/{run_id}" if whole else "", parent, run_id)


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


def run_label(name: str) -> str:
    """The same for people to read: of an id that was made by a machine, the first digits."""
    short = short_run(name)
    experiment, _, run_id = short.rpartition("/")
    if experiment and _MACHINE_MADE.fullmatch(run_id):
        return f"{experiment}/{run_id[:_DIGITS_SHOWN]}"
    return short


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
