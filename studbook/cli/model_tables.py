"""Models, versions and their changes of stage as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.cli import loaded_tables, output
from studbook.cli.references import last_segment, short_run, short_version
from studbook.cli.run_text import run_cell
from studbook.registry.v1.promotion_service_pb2 import TransitionCause
from studbook.registry.v1.version_pb2 import Stage, VersionState

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from studbook.identity.v1.principal_pb2 import Principal
    from studbook.registry.v1.loaded_pb2 import LoadedVersion
    from studbook.registry.v1.model_pb2 import Model
    from studbook.registry.v1.promotion_service_pb2 import (
        RollbackResponse,
        Transition,
        TransitionStageResponse,
    )
    from studbook.registry.v1.serving_service_pb2 import ResolveVersionResponse
    from studbook.registry.v1.version_pb2 import ModelFile, Version


def print_models(models: Iterable[Model]) -> None:
    """One line for each model."""
    rows = (
        (
            last_segment(model.name),
            last_segment(model.production_version) or output.MISSING,
            last_segment(model.highest_version) or output.MISSING,
            output.format_second(model.update_time),
            model.description or output.MISSING,
        )
        for model in models
    )
    output.print_table(("MODEL", "PRODUCTION", "HIGHEST", "CHANGED", "DESCRIPTION"), rows)


def print_model(
    model: Model, versions: Sequence[Version], loaded: Sequence[LoadedVersion] = ()
) -> None:
    """A model, its versions, and what instances have loaded of it."""
    since = {version.name: version.stage_time for version in versions}
    production = loaded_tables.in_production(
        last_segment(model.production_version), since.get(model.production_version), loaded
    )
    output.print_fields(
        [
            ("Model", last_segment(model.name)),
            ("Description", model.description),
            ("Production", production),
            ("Mismatch", loaded_tables.mismatch(loaded)),
            ("Protected aliases", ", ".join(model.protected_aliases)),
            ("Tags", _tags(model.tags)),
            ("Created", f"{output.format_time(model.create_time)} by {who(model.creator)}"),
        ]
    )
    if versions:
        output.print_heading("Versions")
    rows = (
        (
            version.version,
            stage_text(version.stage),
            output.format_time(version.stage_time),
            ", ".join(version.aliases) or output.MISSING,
            state_text(version.state),
            run_cell(version.source_run),
            version.description or output.MISSING,
        )
        for version in versions
    )
    output.print_table(
        ("VERSION", "STAGE", "SINCE", "ALIASES", "STATE", "RUN", "DESCRIPTION"), rows
    )
    if loaded:
        loaded_tables.print_loaded(loaded)


def print_resolved(answer: ResolveVersionResponse, at: str) -> None:
    """The version that a name stood for."""
    version = answer.version
    interval = f"from {output.format_time(answer.stage_start_time)}"
    if answer.HasField("stage_end_time"):
        interval += f" until {output.format_time(answer.stage_end_time)}"
    elif answer.HasField("stage_start_time"):
        interval += " until now"
    asked = f"{stage_text(answer.stage)} at {at}" if at else stage_text(answer.stage)
    output.print_fields(
        [
            ("Version", short_version(version.name)),
            ("Resolved as", f"{asked}, {interval}"),
            (
                "Stage now",
                f"{stage_text(version.stage)} since {output.format_time(version.stage_time)}",
            ),
            ("Named", _named(answer)),
            ("Aliases", ", ".join(version.aliases)),
            ("State", state_text(version.state)),
            ("Reason", version.state_reason),
            ("Description", version.description),
            ("Tags", _tags(version.tags)),
            ("Trained by", short_run(version.source_run)),
            ("Registered", f"{output.format_time(version.create_time)} by {who(version.creator)}"),
            ("Digest", version.digest),
        ]
    )
    print_files(version.files)


def print_files(files: Sequence[ModelFile]) -> None:
    """The files of a version."""
    output.print_heading("Files")
    rows = (
        (
            file.path,
            output.format_bytes(file.size_bytes) if output.for_people() else str(file.size_bytes),
            file.digest,
        )
        for file in files
    )
    output.print_table(("PATH", "SIZE", "DIGEST"), rows)


def print_fetched(version: Version, directory: Path) -> None:
    """What `studbook pull` has brought."""
    name = short_version(version.name)
    files = f"{_files(version)} in {directory}"
    output.note(f"{name} ({stage_text(version.stage)}): {files}, every digest checked.")
    rows = (
        (str(directory / file.path), str(file.size_bytes), file.digest) for file in version.files
    )
    output.print_table(("FILE", "BYTES", "DIGEST"), rows)


def print_registered(version: Version) -> None:
    """What was registered, in two sentences."""
    name, run = short_version(version.name), run_cell(version.source_run)
    output.print_lines(
        [
            f"{name} is registered, {state_text(version.state)}, made by {run}.",
            f"{_files(version)}, digest {version.digest}.",
        ]
    )


def print_moved(answer: TransitionStageResponse, stage: str, *, dry_run: bool) -> None:
    """What a promotion did, in sentences."""
    name = short_version(answer.version.name)
    if answer.unchanged:
        output.print_lines([f"{name} is in {stage.capitalize()} already; nothing was changed."])
    elif dry_run:
        output.print_lines([f"{name} may move to {stage.capitalize()}; nothing was changed."])
    else:
        output.print_lines(_change(answer.version, answer.displaced, answer.ledger_position))


def print_rolled_back(answer: RollbackResponse, *, dry_run: bool) -> None:
    """What a rollback did, in sentences."""
    if dry_run:
        name = short_version(answer.version.name)
        output.print_lines([f"{name} may return to Production; nothing was changed."])
    else:
        output.print_lines(_change(answer.version, answer.displaced, answer.ledger_position))


def print_history(transitions: Iterable[Transition]) -> None:
    """Changes of stage, one a line."""
    rows = (
        (
            output.row_time(change.create_time),
            last_segment(change.version),
            f"{stage_text(change.from_stage)} > {stage_text(change.to_stage)}",
            _stay(change),
            cause_text(change),
            change.actor.id or output.MISSING,
            change.reason or output.MISSING,
        )
        for change in transitions
    )
    output.print_table(("TIME", "VERSION", "CHANGE", "STAYED", "CAUSE", "BY", "REASON"), rows)


def _stay(change: Transition) -> str:
    """How long the version stayed where it went; programs get the end instead."""
    if not change.HasField("end_time"):
        return "until now" if output.for_people() else "now"
    if not output.for_people():
        return output.format_time(change.end_time)
    nanoseconds = change.end_time.ToNanoseconds() - change.create_time.ToNanoseconds()
    return output.format_duration(nanoseconds / 1e9)


def who(principal: Principal) -> str:
    """A caller: the name for people and the id that rules are made on."""
    if principal.display_name and principal.display_name != principal.id:
        return f"{principal.display_name} ({principal.id})"
    return principal.id or "somebody unknown"


def stage_text(stage: Stage.ValueType) -> str:
    """A stage as people write it, also one that this client does not know yet."""
    if stage in Stage.values():
        return Stage.Name(stage).removeprefix("STAGE_").capitalize()
    return f"stage {stage}"


def cause_text(change: Transition) -> str:
    """What brought a transition about, in one word and, where another did, which."""
    if change.cause not in TransitionCause.values():
        return f"cause {change.cause}"
    word = TransitionCause.Name(change.cause).removeprefix("TRANSITION_CAUSE_").lower()
    if change.caused_by:
        word += f" by {last_segment(change.caused_by)}"
    return f"{word}, broke the glass" if change.broke_glass else word


def state_text(state: VersionState.ValueType) -> str:
    """A version's state in lower case, also one that this client does not know yet."""
    if state in VersionState.values():
        return VersionState.Name(state).removeprefix("VERSION_STATE_").lower()
    return f"state {state}"


def _named(answer: ResolveVersionResponse) -> str:
    """During which time the alias named it by which it was found."""
    if not answer.HasField("alias_start_time"):
        return ""
    until = answer.alias_end_time if answer.HasField("alias_end_time") else None
    end = output.format_time(until) if until is not None else "now"
    return f"from {output.format_time(answer.alias_start_time)} until {end}"


def _change(version: Version, displaced: Version, position: int) -> list[str]:
    lines = [f"{short_version(version.name)} is in {stage_text(version.stage)} now."]
    if displaced.name:
        former = short_version(displaced.name)
        lines.append(f"{former} became {stage_text(displaced.stage)} in the same transaction.")
    lines.append(f"Ledger entry {position}.")
    return lines


def _files(version: Version) -> str:
    size = output.format_bytes(sum(file.size_bytes for file in version.files))
    count = len(version.files)
    return f"{count} {'file' if count == 1 else 'files'} ({size})"


def _tags(tags: Mapping[str, str]) -> str:
    return ", ".join(f"{key}={value}" for key, value in sorted(tags.items()))
