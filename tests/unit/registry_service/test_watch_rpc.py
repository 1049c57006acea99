"""A watch tells how things stand and then each change, to those who may know."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from registry_service import watch_rpc
from tests.unit.registry_service.serving_registry import (
    GRACE,
    MODEL,
    PARENT,
    Registry,
    caller,
    refusal,
    with_registry,
)

if TYPE_CHECKING:
    from pathlib import Path

WATCH = "WatchService.WatchVersions"
SERVING = caller("serving", {"models.serve": ("workspaces/main/models/**",)})


async def prepare(registry: Registry, *numbers: str) -> None:
    registry.add_run({"model/model.joblib": b"a model"})
    await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
    for number in numbers:
        await registry.register(number)


def stage_of(change: Any) -> tuple[str, int, int]:
    return change.stage.version.rpartition("/")[2], change.stage.from_stage, change.stage.to_stage


class Told:
    """The changes that a call tells, one after the other, each with the token of its message."""

    def __init__(self, call: Any) -> None:
        self._call = call
        self._waiting: list[Any] = []
        self.resume_token = ""

    async def next(self) -> Any:
        while not self._waiting:
            message = await self._call.read()
            assert message is not grpc.aio.EOF  # type: ignore[attr-defined] # unknown to its stubs
            self._waiting = list(message.changes.changes)
            self.resume_token = message.resume_token
        return self._waiting.pop(0)


def test_state_comes_first_and_then_each_change(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0", "1.1.0")
        await registry.move("1.0.0", "PRODUCTION")
        call = registry.open_stream(WATCH, parent=PARENT, models="wine-cultivar")
        state = (await call.read()).state
        assert state.begins
        assert state.complete
        assert {(v.version.rpartition("/")[2], v.stage) for v in state.versions} == {
            ("1.0.0", 3),
            ("1.1.0", 1),
        }
        await registry.move("1.1.0", "PRODUCTION", reason="better")
        told = Told(call)
        entered, left = await told.next(), await told.next()
        assert stage_of(entered) == ("1.1.0", 1, 3)
        assert entered.reason == "better"
        assert entered.actor.id == GRACE.principal.id
        assert stage_of(left) == ("1.0.0", 3, 4)
        assert left.ledger_position == entered.ledger_position + 1
        call.cancel()

    with_registry(tmp_path, test)


def test_aliases_and_registrations_are_told(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0")
        alias = f"{MODEL}/aliases/champion"
        await registry.call("AliasService.SetAlias", name=alias, version=f"{MODEL}/versions/1.0.0")
        call = registry.open_stream(WATCH, parent=PARENT)
        state = (await call.read()).state
        assert [(a.alias, a.version) for a in state.aliases] == [(alias, f"{MODEL}/versions/1.0.0")]
        await registry.register("1.1.0")
        assert stage_of(await Told(call).next()) == ("1.1.0", 0, 1)
        await registry.call("AliasService.SetAlias", name=alias, version=f"{MODEL}/versions/1.1.0")
        moved = (await Told(call).next()).alias
        version = await registry.call("ModelService.GetVersion", name=f"{MODEL}/versions/1.1.0")
        assert moved.digest == version.version.digest
        assert (moved.from_version, moved.to_version) == (
            f"{MODEL}/versions/1.0.0",
            f"{MODEL}/versions/1.1.0",
        )
        await registry.call("AliasService.DeleteAlias", name=alias)
        taken = (await Told(call).next()).alias
        assert (taken.to_version, taken.digest) == ("", "")
        await registry.call("ModelService.DeleteVersion", name=f"{MODEL}/versions/1.0.0")
        assert stage_of(await Told(call).next()) == ("1.0.0", 1, 0)
        call.cancel()

    with_registry(tmp_path, test)


def test_who_may_only_be_served_sees_production_only(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0", "1.1.0")
        await registry.move("1.0.0", "PRODUCTION")
        call = registry.open_stream(WATCH, by=SERVING, parent=PARENT, models="wine-*")
        state = (await call.read()).state
        assert [v.version.rpartition("/")[2] for v in state.versions] == ["1.0.0"]
        await registry.move("1.1.0", "STAGING")
        await registry.register("1.2.0")
        await registry.move("1.1.0", "PRODUCTION", reason="secret")
        told = Told(call)
        entered, left = await told.next(), await told.next()
        assert stage_of(entered) == ("1.1.0", 0, 3)
        assert stage_of(left) == ("1.0.0", 3, 0)
        assert not entered.reason
        assert not entered.HasField("actor")
        call.cancel()

    with_registry(tmp_path, test)


@pytest.mark.parametrize(
    "fields", [{"stages": [2]}, {"aliases": ["champion"]}, {"stages": [3, 4]}], ids=str
)
def test_asking_for_more_than_production_needs_to_read(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0")
        asked = registry.stream(WATCH, by=SERVING, parent=PARENT, models="wine-cultivar", **fields)
        code, reason, metadata = await refusal(asked)
        assert (code, reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")
        assert metadata["permission"] == "models.read"

    with_registry(tmp_path, test)


def test_models_that_the_caller_may_not_see_are_left_out(tmp_path: Path) -> None:
    other = caller("ola", {"models.serve": ("workspaces/main/models/other",)})

    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0")
        await registry.move("1.0.0", "PRODUCTION")
        call = registry.open_stream(WATCH, by=other, parent=PARENT)
        assert not (await call.read()).state.versions
        call.cancel()
        code, reason, _ = await refusal(
            registry.stream(WATCH, by=other, parent=PARENT, models="wine-cultivar")
        )
        assert (code, reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")

    with_registry(tmp_path, test)


def test_stages_and_aliases_narrow_it_down(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0", "1.1.0")
        call = registry.open_stream(
            WATCH, parent=PARENT, models="wine-cultivar", stages=[2], aliases=["cha*"]
        )
        assert not (await call.read()).state.versions
        await registry.move("1.0.0", "PRODUCTION")
        for alias in ("canary", "champion"):
            await registry.call(
                "AliasService.SetAlias",
                name=f"{MODEL}/aliases/{alias}",
                version=f"{MODEL}/versions/1.0.0",
            )
        await registry.move("1.1.0", "STAGING")
        assert (await Told(call).next()).alias.alias.endswith("/champion")
        assert stage_of(await Told(call).next()) == ("1.1.0", 1, 2)
        call.cancel()

    with_registry(tmp_path, test)


def test_resuming_tells_what_was_missed_and_nothing_twice(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0", "1.1.0")
        call = registry.open_stream(WATCH, parent=PARENT, models="wine-*")
        await call.read()
        await registry.move("1.0.0", "STAGING")
        told = Told(call)
        await told.next()
        call.cancel()
        await registry.move("1.1.0", "STAGING")
        await registry.move("1.0.0", "PRODUCTION")
        again = registry.open_stream(
            WATCH, parent=PARENT, models="wine-*", resume_token=told.resume_token
        )
        missed = Told(again)
        assert stage_of(await missed.next()) == ("1.1.0", 1, 2)
        assert stage_of(await missed.next()) == ("1.0.0", 2, 3)
        again.cancel()

    with_registry(tmp_path, test)


def test_signs_of_life_move_the_token_on(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0")
        call = registry.open_stream(
            WATCH, parent=PARENT, models="wine-cultivar", progress_interval={"seconds": 1}
        )
        state = await call.read()
        await registry.call("ModelService.CreateModel", parent=PARENT, model_id="other")
        seen = await call.read()
        assert seen.progress.ledger_position == len(await registry.ledger())
        assert seen.resume_token not in {"", state.resume_token}
        call.cancel()
        again = registry.open_stream(
            WATCH, parent=PARENT, models="wine-cultivar", resume_token=seen.resume_token
        )
        await registry.move("1.0.0", "STAGING")
        assert stage_of(await Told(again).next()) == ("1.0.0", 1, 2)
        again.cancel()

    with_registry(tmp_path, test)


def test_tokens_of_something_else_are_refused(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        call = registry.open_stream(WATCH, parent=PARENT, models="wine-*")
        token = (await call.read()).resume_token
        call.cancel()
        for given in (token[:-2] + "AA", "nonsense"):
            asked = registry.stream(WATCH, parent=PARENT, models="wine-*", resume_token=given)
            code, reason, metadata = await refusal(asked)
            assert (code, reason) == ("INVALID_ARGUMENT", "RESUME_TOKEN_INVALID")
            assert metadata["field"] == "resume_token"
        asked = registry.stream(WATCH, parent=PARENT, models="*", resume_token=token)
        assert (await refusal(asked))[:2] == ("INVALID_ARGUMENT", "RESUME_TOKEN_INVALID")

    with_registry(tmp_path, test)


def test_a_token_that_is_too_old_is_refused(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0")
        call = registry.open_stream(WATCH, parent=PARENT)
        token = (await call.read()).resume_token
        call.cancel()
        await registry.move("1.0.0", "STAGING")
        asked = registry.stream(WATCH, parent=PARENT, resume_token=token)
        assert (await refusal(asked))[:2] == ("OUT_OF_RANGE", "RESUME_TOKEN_TOO_OLD")

    with_registry(tmp_path, test, watch_replay_days=1e-12)


def test_a_token_is_good_as_long_as_nothing_has_happened(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0")
        call = registry.open_stream(WATCH, parent=PARENT)
        token = (await call.read()).resume_token
        call.cancel()
        again = registry.open_stream(WATCH, parent=PARENT, resume_token=token)
        await registry.move("1.0.0", "STAGING")
        assert (await again.read()).HasField("changes")
        again.cancel()

    # Long enough for what happens after the call, and shorter than the test was before it.
    with_registry(tmp_path, test, watch_replay_days=30 / 86400)


def test_a_watch_ends_with_the_token_of_its_caller(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0")
        brief = replace(GRACE, until_s=time.time() + 1)
        told = await asyncio.wait_for(registry.stream(WATCH, by=brief, parent=PARENT), 20)
        assert told[0].HasField("state")
        assert told[-1].HasField("progress")
        assert told[-1].resume_token

    with_registry(tmp_path, test)


def test_a_watch_ends_after_its_time_and_can_be_resumed(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0")
        told = await asyncio.wait_for(registry.stream(WATCH, parent=PARENT), 20)
        await registry.move("1.0.0", "STAGING")
        again = await asyncio.wait_for(
            registry.stream(WATCH, parent=PARENT, resume_token=told[-1].resume_token), 20
        )
        assert stage_of(again[0].changes.changes[0]) == ("1.0.0", 1, 2)

    with_registry(tmp_path, test, watch_minutes=0.5 / 60)


def test_a_stopping_server_ends_watches_with_a_token(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0")
        call = registry.open_stream(WATCH, parent=PARENT)
        await call.read()
        registry.application.end_calls()
        assert (await call.read()).HasField("progress")
        assert await call.read() is grpc.aio.EOF  # type: ignore[attr-defined] # unknown to its stubs
        code, reason, _ = await refusal(registry.stream(WATCH, parent=PARENT))
        assert (code, reason) == ("UNAVAILABLE", "DRAINING")

    with_registry(tmp_path, test)


def test_no_more_watch_than_may(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        first = registry.open_stream(WATCH, parent=PARENT)
        await first.read()
        code, reason, metadata = await refusal(registry.stream(WATCH, parent=PARENT))
        assert (code, reason) == ("RESOURCE_EXHAUSTED", "QUOTA_EXCEEDED")
        assert metadata["limit"] == "watchers"
        first.cancel()

    with_registry(tmp_path, test, watchers=1)


def test_a_watcher_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0")
        slow = registry.open_stream(WATCH, parent=PARENT)
        await slow.read()
        reason = "x" * 4000
        stages = ["STAGING", "ARCHIVED"] * 60
        for stage in stages:
            # Half a megabyte, far more than fits into the buffers on the way.
            await asyncio.wait_for(registry.move("1.0.0", stage, reason=reason), 10)
        quick = registry.open_stream(WATCH, parent=PARENT)
        await quick.read()
        waiting = Told(slow)
        told = [await waiting.next() for _ in stages]
        moved = [change.stage.to_stage for change in told]
        assert moved == [2, 4] * 60
        slow.cancel()
        quick.cancel()

    with_registry(tmp_path, test)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"parent": "workspaces/-"}, "parent"),
        ({"parent": PARENT, "models": "Wine"}, "models"),
        ({"parent": PARENT, "models": "wine?"}, "models"),
        ({"parent": PARENT, "aliases": ["a b"]}, "aliases[0]"),
        ({"parent": PARENT, "stages": [9]}, "stages[0]"),
        ({"parent": PARENT, "stages": [0]}, "stages[0]"),
    ],
    ids=str,
)
def test_what_cannot_be_watched_is_refused(
    tmp_path: Path, fields: dict[str, Any], field: str
) -> None:
    async def test(registry: Registry) -> None:
        code, _, metadata = await refusal(registry.stream(WATCH, **fields))
        assert code == "INVALID_ARGUMENT"
        assert metadata["field"] == field

    with_registry(tmp_path, test)


def test_a_large_state_comes_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_rpc, "_MOST_STANDING", 2)

    async def test(registry: Registry) -> None:
        await prepare(registry, "1.0.0", "1.1.0", "1.2.0")
        call = registry.open_stream(WATCH, parent=PARENT)
        parts = [await call.read(), await call.read()]
        assert [(part.state.begins, part.state.complete) for part in parts] == [
            (True, False),
            (False, True),
        ]
        assert [bool(part.resume_token) for part in parts] == [False, True]
        assert sum(len(part.state.versions) for part in parts) == 3
        call.cancel()

    with_registry(tmp_path, test)


def test_a_model_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        asked = registry.stream(WATCH, parent=PARENT, models="wine-cultivar")
        assert (await refusal(asked))[:2] == ("NOT_FOUND", "NOT_FOUND")

    with_registry(tmp_path, test)
