"""What people type for runs, models, versions and moments, and the resource names behind it.

Models are written `wine-cultivar`, versions `wine-cultivar@1.2.0`, stages
`wine-cultivar@production`; runs `wine/brave-otter` or just `brave-otter`. Full resource names are
taken everywhere. What cannot be read is a usage error, told before any call is made.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import typer

# Stage names as typed, and the values of the contract's enum `Stage` without their prefix.
STAGES = ("none", "staging", "production", "archived")

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
_NUMBER = re.compile(r"v?\d+\.\d+\.\d+([+-].*)?")


@dataclass(frozen=True)
class VersionReference:
    """A model, and which of its versions is meant.

    Attributes:
        model: Resource name of the model.
        number: Version number as typed; empty when a stage or nothing was named.
        stage: Stage in lower case; empty when a number or nothing was named.
    """

    model: str
    number: str = ""
    stage: str = ""

    @property
    def version(self) -> str:
        """Resource name of the version that the number stands for."""
        return f"{self.model}/versions/{self.number}"


def model_name(text: str, workspace: str) -> str:
    """Resource name of a model.

    Args:
        text: Model id, or full resource name.
        workspace: Resource name of the workspace that short forms belong to.
    """
    if text.startswith("workspaces/"):
        return text
    return f"{workspace}/models/{_checked_id(text, 'model')}"


def version_reference(text: str, workspace: str) -> VersionReference:
    """Read `NAME`, `NAME@1.2.0`, `NAME@production` or the full name of a model or version."""
    if text.startswith("workspaces/"):
        model, _, number = text.partition("/versions/")
        return VersionReference(model, number=number)
    model_id, at, selector = text.partition("@")
    model = model_name(model_id, workspace)
    if not at:
        return VersionReference(model)
    if selector.lower() in STAGES:
        return VersionReference(model, stage=selector.lower())
    if _NUMBER.fullmatch(selector):
        return VersionReference(model, number=selector.removeprefix("v"))
    message = (
        f'"{selector}" is neither a version number like 1.2.0 nor a stage ({", ".join(STAGES)}).'
    )
    raise typer.BadParameter(message)


def numbered_version(text: str, workspace: str) -> VersionReference:
    """The same where only a number will do, e.g. for a version that is to be registered."""
    reference = version_reference(text, workspace)
    if not reference.number:
        raise typer.BadParameter(f'"{text}" does not name a version; write it NAME@1.2.0.')
    return reference


def expected_production(text: str, model: str) -> str:
    """Resource name of the version that a caller believes to be in Production, or `none`.

    Args:
        text: A version number, `none`, a full resource name, or nothing.
        model: Resource name of the model.
    """
    if text in {"", "none"} or text.startswith("workspaces/"):
        return text
    number = text.rpartition("@")[2]
    if not _NUMBER.fullmatch(number):
        raise typer.BadParameter(f'"{text}" is neither a version number like 1.2.0 nor none.')
    return f"{model}/versions/{number.removeprefix('v')}"


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
    """Read `EXPERIMENT/RUN`, `RUN` or the full name of a run."""
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
