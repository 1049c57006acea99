"""Being told what a model's name stands for, each time that changes."""

from __future__ import annotations

import random
import time
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from studbook.exceptions import (
    Cancelled,
    InvalidArgument,
    LimitExceeded,
    OutOfRange,
    ServerError,
    StudbookError,
    Unauthenticated,
    Unavailable,
)
from studbook.model_reference import Reference, parse_reference
from studbook.registry.v1 import version_pb2, watch_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.timestamp_pb2 import Timestamp

    from studbook.client import Client
    from studbook.registry.v1.watch_pb2 import Change

__all__ = ["Standing", "follow", "watch"]

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0

Message = watch_service_pb2.WatchVersionsResponse
Request = watch_service_pb2.WatchVersionsRequest


@dataclass(frozen=True)
class Standing:
    """What a reference stands for.

    Attributes:
        version: Resource name of the version; empty when it stands for nothing.
        digest: Digest of the version, as `Version.digest`; empty for a change of an alias
            that a server did not record with it.
        since: Since when, with its time zone.
        ledger_position: Position in the ledger of what made it so.
        resume_token: Where to go on watching from.
    """

    version: str
    digest: str
    since: datetime
    ledger_position: int
    resume_token: str

    @property
    def number(self) -> str:
        """The version's number, e.g. `1.2.0`; empty when it stands for nothing."""
        return self.version.rpartition("/")[2]


def watch(
    reference: str | Reference,
    *,
    resume_token: str = "",
    on_away: Callable[[StudbookError], None] | None = None,
    client: Client | None = None,
) -> Iterator[Standing]:
    """What a reference stands for: at first now, and then each time that it changes.

    Goes on for ever. When the connection is lost it is made anew, and nothing is missed in
    between; only where the server was away for days, or its database was put back to an older
    state, what changed in between is told as one change.

    Args:
        reference: `NAME@STAGE` or `NAME@ALIAS`; `NAME` alone means Production. Of several versions
            in a stage, the one that entered it last.
        resume_token: That of the last standing that was seen, to leave out what was seen before.
        on_away: Told when the server cannot be reached, once for each time.
        client: Connection.

    Raises:
        NotFound: When there is no such model.
        PermissionDenied: When the caller may not be told.
        InvalidArgument: When the reference names a number or a range, which stand for themselves.
    """
    wanted = parse_reference(reference) if isinstance(reference, str) else reference
    if wanted.version or wanted.range:
        message = f"{wanted} does not change; watch a stage or an alias, e.g. NAME@production."
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return _standings(wanted, resume_token, on_away, client)


def _standings(
    wanted: Reference,
    resume_token: str,
    on_away: Callable[[StudbookError], None] | None,
    client: Client | None,
) -> Iterator[Standing]:
    from studbook.client import Client as NewClient  # noqa: PLC0415 - keeps the import light

    with nullcontext(client) if client is not None else NewClient() as connection:
        model = wanted.model_name(connection.workspace)
        request = Request(
            parent=model.partition("/models/")[0],
            models=wanted.model,
            aliases=[wanted.alias] if wanted.alias else [],
            resume_token=resume_token,
        )
        if not wanted.alias:
            request.stages.append(version_pb2.Stage.Value(f"STAGE_{wanted.stage.upper()}"))
        place = _Place(wanted, model)
        for message in follow(connection, request, on_away=on_away):
            standing = place.after(message)
            if standing is not None:
                yield standing


def follow(
    client: Client,
    request: Request,
    *,
    on_away: Callable[[StudbookError], None] | None = None,
    wait: Callable[[float], None] = time.sleep,
) -> Iterator[Message]:
    """The messages of a watch, for ever: it is called again, with its token, when it ends.

    Args:
        client: Connection.
        request: What to watch.
        on_away: Told when the server cannot be reached, once for each time.
        wait: How to wait, in seconds.

    Raises:
        StudbookError: What calling again does not help against.
    """
    token = request.resume_token
    failures = 0
    while True:
        asked = Request()
        asked.CopyFrom(request)
        asked.resume_token = token
        sent: Any = client.watches.WatchVersions(asked)
        came = False
        try:
            for message in sent:
                came = True
                failures = 0
                token = message.resume_token or token
                yield message
        except OutOfRange:
            token = ""
            continue
        except StudbookError as error:
            if not _is_passing(error, came=came):
                raise
            if failures == 0 and not came and on_away is not None:
                on_away(error)
        finally:
            sent.cancel()
        if not came:
            failures += 1
            pause = min(_FIRST_PAUSE_S * 2 ** min(failures - 1, 16), _LONGEST_PAUSE_S)
            wait(pause * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, hides nothing


def _is_passing(error: StudbookError, *, came: bool) -> bool:
    """Whether a watch that ended with this error can be gone on with."""
    if isinstance(error, Unauthenticated):
        # A token may have ended with the watch. If it is not renewed the next call says so.
        return came
    # Without a reason it was not the server that spoke, but something on the way.
    on_the_way = isinstance(error, (Cancelled, ServerError)) and not error.reason
    return on_the_way or isinstance(error, (Unavailable, LimitExceeded))


class _Place:
    """A stage or an alias of a model, and what is in it, as far as a watch has told."""

    def __init__(self, wanted: Reference, model: str) -> None:
        self._alias = f"{model}/aliases/{wanted.alias}" if wanted.alias else ""
        self._stage = version_pb2.Stage.Value(f"STAGE_{(wanted.stage or 'none').upper()}")
        self._held: dict[str, Standing] = {}
        self._given: str | None = None

    def after(self, message: Message) -> Standing | None:
        """What it stands for after a message, unless that was given before."""
        token = message.resume_token
        match message.WhichOneof("content"):
            case "state":
                if message.state.begins:
                    self._held.clear()
                self._take_state(message)
                if not message.state.complete:
                    return None
                nothing = Standing("", "", datetime.now(UTC), 0, token)
            case "changes":
                took = [self._take_change(change) for change in message.changes.changes]
                if not any(took):
                    return None
                change = message.changes.changes[-1]
                nothing = Standing(
                    "", "", _moment(change.create_time), change.ledger_position, token
                )
            case _:
                return None
        last = max(self._held.values(), key=lambda held: held.ledger_position, default=nothing)
        if last.version == self._given:
            return None
        self._given = last.version
        return Standing(last.version, last.digest, last.since, last.ledger_position, token)

    def _take_state(self, message: Message) -> None:
        for version in message.state.versions:
            if version.stage == self._stage and not self._alias:
                self._held[version.version] = Standing(
                    version.version,
                    version.digest,
                    _moment(version.stage_time),
                    version.ledger_position,
                    "",
                )
        for alias in message.state.aliases:
            if alias.alias == self._alias:
                self._held[alias.version] = Standing(
                    alias.version,
                    alias.digest,
                    _moment(alias.start_time),
                    alias.ledger_position,
                    "",
                )

    def _take_change(self, change: Change) -> bool:
        """Take a change over; False when it is of something else."""
        since, position = _moment(change.create_time), change.ledger_position
        kind = change.WhichOneof("kind")
        if kind == "alias" and change.alias.alias == self._alias:
            self._held.clear()
            to = change.alias.to_version
            if to:
                self._held[to] = Standing(to, change.alias.digest, since, position, "")
            return True
        if kind != "stage" or self._alias:
            return False
        moved = change.stage
        self._held.pop(moved.version, None)
        if moved.to_stage == self._stage:
            self._held[moved.version] = Standing(moved.version, moved.digest, since, position, "")
        return self._stage in {moved.from_stage, moved.to_stage}


def _moment(timestamp: Timestamp) -> datetime:
    return timestamp.ToDatetime(tzinfo=UTC)
