"""What `studbook model watch` prints: a line for each thing that it is told."""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import TYPE_CHECKING, Any

import typer

from studbook import watching
from studbook.cli import output
from studbook.cli.model_tables import stage_text
from studbook.cli.references import short_version
from studbook.client import Client
from studbook.registry.v1.watch_service_pb2 import WatchVersionsRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from studbook.exceptions import StudbookError
    from studbook.registry.v1.version_pb2 import Stage
    from studbook.registry.v1.watch_pb2 import Change, WatchState
    from studbook.registry.v1.watch_service_pb2 import WatchVersionsResponse
    from studbook.watching import Standing


def standings(name: str, *, new: bool) -> Iterator[Standing]:
    """What a name stands for, one after the other; `new` leaves out what it stands for now."""
    seen = watching.watch(name, on_away=note_away)
    return islice(seen, 1, None) if new else seen


def tell(standing: Standing, *, as_json: bool) -> None:
    """Print what a name stands for."""
    since = standing.since.isoformat().replace("+00:00", "Z")
    if as_json:
        _print_json(
            {
                "version": standing.version,
                "digest": standing.digest,
                "since": since,
                "ledgerPosition": str(standing.ledger_position),
                "resumeToken": standing.resume_token,
            }
        )
        return
    version = short_version(standing.version) if standing.version else output.MISSING
    _print_row((since, version, standing.digest))


def print_changes(models: str, *, once: bool, new: bool, as_json: bool) -> None:
    """Print how all versions and aliases of some models stand, and every change."""
    with Client() as client:
        request = WatchVersionsRequest(parent=client.workspace, models=_models(models))
        for message in watching.follow(client, request, on_away=note_away):
            kind = message.WhichOneof("content")
            if kind == "progress" or (kind == "state" and new):
                continue
            if as_json:
                _print_json(output.json_value(message))
            else:
                for row in _rows(message):
                    _print_row(row)
            if once and (kind == "changes" or message.state.complete):
                return


def note_away(error: StudbookError) -> None:
    """Say that the server is away."""
    output.note(f"{error.message}\nIt is asked again until it answers.")


def _models(text: str) -> str:
    if "/" in text:
        message = f'"{text}" is not a model or a pattern; write wine-cultivar or wine-*.'
        raise typer.BadParameter(message)
    return text


def _rows(message: WatchVersionsResponse) -> Iterator[Sequence[str]]:
    yield from _state_rows(message.state)
    yield from map(_row, message.changes.changes)


def _state_rows(state: WatchState) -> Iterator[Sequence[str]]:
    for version in state.versions:
        since = output.format_time(version.stage_time)
        yield since, short_version(version.version), stage_text(version.stage)
    for alias in state.aliases:
        since = output.format_time(alias.start_time)
        yield since, _short_alias(alias.alias), short_version(alias.version)


def _row(change: Change) -> Sequence[str]:
    if change.HasField("stage"):
        moved = change.stage
        before, after = _stage(moved.from_stage), _stage(moved.to_stage)
        what = short_version(moved.version)
    else:
        named = change.alias
        before = short_version(named.from_version) if named.from_version else output.MISSING
        after = short_version(named.to_version) if named.to_version else output.MISSING
        what = _short_alias(named.alias)
    actor = change.actor.display_name or change.actor.id
    time = output.format_time(change.create_time)
    return time, what, f"{before} -> {after}", actor, change.reason


def _short_alias(name: str) -> str:
    parts = name.split("/")
    return f"{parts[3]}@{parts[5]}"


def _stage(stage: Stage.ValueType) -> str:
    return stage_text(stage) if stage else output.MISSING


def _print_row(cells: Sequence[str]) -> None:
    separator = "  " if output.for_people() else "\t"
    line = separator.join(map(output.one_line, cells)).rstrip()
    sys.stdout.write(line + "\n")
    # Whoever reads this does so while it goes on.
    sys.stdout.flush()


def _print_json(value: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
