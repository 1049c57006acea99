"""A watch is gone on with whatever ends it, and tells each thing once."""

from __future__ import annotations

from contextlib import suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from studbook import watching
from studbook.exceptions import (
    InvalidArgument,
    OutOfRange,
    PermissionDenied,
    ServerError,
    Unauthenticated,
    Unavailable,
)
from studbook.registry.v1 import watch_pb2
from studbook.registry.v1.version_pb2 import STAGE_ARCHIVED, STAGE_NONE, STAGE_PRODUCTION
from studbook.registry.v1.watch_service_pb2 import WatchVersionsResponse

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studbook.exceptions import StudbookError

MODEL = "workspaces/main/models/wine"


def version(number: str) -> str:
    return f"{MODEL}/versions/{number}"


def state(token: str, **stages: Any) -> WatchVersionsResponse:
    standing = [
        watch_pb2.StandingVersion(
            version=version(number.replace("_", ".")[1:]), stage=stage, ledger_position=1
        )
        for number, stage in stages.items()
    ]
    told = watch_pb2.WatchState(versions=standing, begins=True, complete=True)
    return WatchVersionsResponse(state=told, resume_token=token)


def moved(token: str, *moves: tuple[str, Any, Any]) -> WatchVersionsResponse:
    changes = [
        watch_pb2.Change(
            ledger_position=int(token[1:]) + index,
            model=MODEL,
            stage=watch_pb2.StageChange(version=version(number), from_stage=before, to_stage=after),
        )
        for index, (number, before, after) in enumerate(moves)
    ]
    return WatchVersionsResponse(
        changes=watch_pb2.WatchChanges(changes=changes), resume_token=token
    )


class Server:
    """Answers each call as it is told to, and notes the tokens that it was called with."""

    def __init__(self, *calls: list[WatchVersionsResponse | StudbookError]) -> None:
        self._calls = list(calls)
        self.tokens: list[str] = []
        self.workspace = "workspaces/main"
        self.watches = SimpleNamespace(WatchVersions=self._watch)

    def _watch(self, request: Any) -> Any:
        self.tokens.append(request.resume_token)

        class Call:
            def __init__(self, answers: Iterator[Any]) -> None:
                self._answers = answers

            def __iter__(self) -> Iterator[Any]:
                for answer in self._answers:
                    if isinstance(answer, Exception):
                        raise answer
                    yield answer

            def cancel(self) -> None:
                pass

        if not self._calls:
            raise PermissionDenied("no more calls")
        return Call(iter(self._calls.pop(0)))


def numbers(server: Server, reference: str = "wine@production") -> list[str]:
    """What is told until the server has no more calls."""
    seen = []
    client: Any = server
    with suppress(PermissionDenied):
        for standing in watching.watch(reference, client=client):
            seen.append(standing.number)  # noqa: PERF401 - an error ends it
    return seen


@pytest.fixture(autouse=True)
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "_FIRST_PAUSE_S", 0.0)


@pytest.mark.parametrize(
    "end",
    [
        None,
        Unavailable("away"),
        ServerError("stream was reset"),
        Unauthenticated("expired", reason="TOKEN_EXPIRED"),
    ],
    ids=str,
)
def test_it_is_gone_on_with_from_the_last_token(end: StudbookError | None) -> None:
    first: list[Any] = [state("t1", v1_0_0=STAGE_PRODUCTION)]
    server = Server(
        [*first, end] if end else first,
        [moved("t5", ("1.1.0", STAGE_NONE, STAGE_PRODUCTION))],
    )
    assert numbers(server) == ["1.0.0", "1.1.0"]
    assert server.tokens == ["", "t1", "t5"]


def test_a_token_too_old_begins_anew_and_repeats_nothing() -> None:
    server = Server(
        [state("t1", v1_0_0=STAGE_PRODUCTION)],
        [OutOfRange("too old", reason="RESUME_TOKEN_TOO_OLD")],
        [state("t9", v1_0_0=STAGE_PRODUCTION)],
        [OutOfRange("too old", reason="RESUME_TOKEN_TOO_OLD")],
        [state("t19", v2_0_0=STAGE_PRODUCTION)],
    )
    assert numbers(server) == ["1.0.0", "2.0.0"]
    assert server.tokens[:3] == ["", "t1", ""]


def test_one_that_leaves_for_another_is_no_change_of_its_own() -> None:
    server = Server(
        [
            state("t1", v1_0_0=STAGE_PRODUCTION),
            moved(
                "t2",
                ("1.1.0", STAGE_NONE, STAGE_PRODUCTION),
                ("1.0.0", STAGE_PRODUCTION, STAGE_ARCHIVED),
            ),
            moved("t4", ("1.1.0", STAGE_PRODUCTION, STAGE_ARCHIVED)),
            moved("t5", ("1.0.0", STAGE_ARCHIVED, STAGE_PRODUCTION)),
        ]
    )
    assert numbers(server) == ["1.0.0", "1.1.0", "", "1.0.0"]


def test_the_server_being_away_is_told_once_for_each_time() -> None:
    away: list[StudbookError] = []
    server = Server(
        [Unavailable("one")],
        [Unavailable("two")],
        [state("t1", v1_0_0=STAGE_PRODUCTION)],
        [Unavailable("three")],
    )
    client: Any = server
    with pytest.raises(PermissionDenied):
        list(watching.watch("wine", client=client, on_away=away.append))
    assert [error.message for error in away] == ["one", "three"]


@pytest.mark.parametrize("reference", ["wine@1.0.0", "wine@~1.2"])
def test_what_does_not_change_is_not_watched(reference: str) -> None:
    with pytest.raises(InvalidArgument):
        watching.watch(reference)
