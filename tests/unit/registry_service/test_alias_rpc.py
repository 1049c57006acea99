"""Aliases over the wire: who may move them, what they name now and named before."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

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

CHAMPION = f"{MODEL}/aliases/champion"
ONE, TWO = f"{MODEL}/versions/1.0.0", f"{MODEL}/versions/1.1.0"
TRAINER = caller(
    "ada",
    dict.fromkeys(("models.read", "models.serve", "models.write", "models.transition"), ("**",)),
)
SERVED = caller("ops", {"models.serve": ("**",)})


async def prepare(registry: Registry, **model: Any) -> None:
    registry.add_run({"model/a.bin": b"a"})
    await registry.call(
        "ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar", model=model
    )
    await registry.register("1.0.0")
    await registry.register("1.1.0")


async def set_alias(registry: Registry, version: str, alias: str = CHAMPION, **fields: Any) -> Any:
    return await registry.call("AliasService.SetAlias", name=alias, version=version, **fields)


async def resolve(registry: Registry, **fields: Any) -> Any:
    fields = {"alias": "champion", **fields}
    return await registry.call("ServingService.ResolveVersion", model=MODEL, **fields)


def shifted(moment: Timestamp, microseconds: int) -> Timestamp:
    other = Timestamp()
    other.FromMicroseconds(moment.ToMicroseconds() + microseconds)
    return other


def test_an_alias_names_one_version_and_then_another(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        first = await set_alias(registry, ONE, by=TRAINER, reason="best so far")
        assert (first.former_version, first.unchanged) == ("", False)
        assert (first.alias.version, first.alias.reason) == (ONE, "best so far")
        again = await set_alias(registry, ONE)
        assert again.unchanged
        assert again.alias == first.alias
        second = await set_alias(registry, TWO)
        assert second.former_version == ONE
        answer = await resolve(registry)
        assert answer.version.name == TWO
        assert list(answer.version.aliases) == ["champion"]
        assert answer.alias_start_time == second.alias.start_time
        assert answer.ledger_position == second.alias.ledger_position
        assert not answer.HasField("alias_end_time")
        one = await registry.call("ModelService.GetVersion", name=ONE)
        assert list(one.version.aliases) == []

    with_registry(tmp_path, test)


def test_what_an_alias_named_is_known_to_the_microsecond(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        first = (await set_alias(registry, ONE)).alias
        second = (await set_alias(registry, TWO)).alias
        await registry.call("AliasService.DeleteAlias", name=CHAMPION, reason="withdrawn")
        assert (await refusal(resolve(registry)))[:2] == ("NOT_FOUND", "NOT_FOUND")
        answer = await resolve(registry, at=shifted(second.start_time, -1))
        assert answer.version.name == ONE
        assert answer.alias_start_time == first.start_time
        assert answer.alias_end_time == second.start_time
        assert (await resolve(registry, at=second.start_time)).version.name == TWO
        before = resolve(registry, at=shifted(first.start_time, -1))
        assert (await refusal(before))[1] == "NOT_FOUND"
        history = await registry.call("AliasService.ListAliases", parent=MODEL, show_past=True)
        assert [item.version for item in history.aliases] == [TWO, ONE]
        assert all(item.HasField("end_time") for item in history.aliases)
        now = await registry.call("AliasService.ListAliases", parent=MODEL)
        assert list(now.aliases) == []
        then = await registry.call("AliasService.ListAliases", parent=MODEL, at=second.start_time)
        assert [item.version for item in then.aliases] == [TWO]
        both = registry.call(
            "AliasService.ListAliases", parent=MODEL, at=second.start_time, show_past=True
        )
        assert (await refusal(both))[2]["field"] == "show_past"
        end = shifted(history.aliases[0].end_time, 0)
        assert (await refusal(resolve(registry, at=end)))[1] == "NOT_FOUND"

    with_registry(tmp_path, test)


def test_every_change_is_in_the_ledger(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        start = len(await registry.ledger())
        await set_alias(registry, ONE, validate_only=True)
        await set_alias(registry, ONE, reason="first")
        await set_alias(registry, ONE)
        await set_alias(registry, TWO)
        await registry.call("AliasService.DeleteAlias", name=CHAMPION)
        entries = (await registry.ledger())[start:]
        assert [(entry.action, entry.resource) for entry in entries] == [
            ("alias.set", CHAMPION),
            ("alias.set", CHAMPION),
            ("alias.delete", CHAMPION),
        ]
        assert entries[0].reason == "first"
        contents = [json.loads(entry.content_json) for entry in entries]
        named = [(content["before"], content["after"]) for content in contents]
        one, two = {"version": ONE}, {"version": TWO}
        assert named == [(None, one), (one, two), (two, None)]

    with_registry(tmp_path, test)


def test_a_protected_alias_moves_with_the_permission_to_promote(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry, protected_aliases=["champion"])
        canary = await set_alias(registry, ONE, f"{MODEL}/aliases/canary", by=TRAINER)
        assert not canary.alias.is_protected
        code, reason, metadata = await refusal(set_alias(registry, ONE, by=TRAINER))
        assert (code, reason) == ("PERMISSION_DENIED", "PERMISSION_MISSING")
        assert metadata["permission"] == "models.promote"
        refused = (await registry.ledger())[-1]
        assert (refused.action, refused.resource, refused.outcome) == ("alias.set", CHAMPION, 2)
        assert refused.actor.id == TRAINER.principal.id
        assert (await set_alias(registry, ONE)).alias.is_protected
        # Whoever may promote but one of the two versions does not move it from one to the other.
        partly = caller("eve", {"models.transition": ("**",), "models.promote": (TWO,)})
        _, _, metadata = await refusal(set_alias(registry, TWO, by=partly))
        assert metadata["resource"] == ONE
        gone = registry.call("AliasService.DeleteAlias", name=CHAMPION, by=TRAINER)
        assert (await refusal(gone))[1] == "PERMISSION_MISSING"
        assert (await registry.ledger())[-1].action == "alias.delete"
        assert (await resolve(registry)).version.name == ONE

    with_registry(tmp_path, test)


def test_protection_itself_takes_the_permission_to_promote(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        create = registry.call(
            "ModelService.CreateModel",
            parent=PARENT,
            model_id="other",
            model={"protected_aliases": ["champion"]},
            by=TRAINER,
        )
        assert (await refusal(create))[1] == "PERMISSION_MISSING"
        await prepare(registry, protected_aliases=["champion", "champion", "blue"])
        model = (await registry.call("ModelService.GetModel", name=MODEL)).model
        assert list(model.protected_aliases) == ["blue", "champion"]
        lift = {"name": MODEL}
        mask = {"paths": ["protected_aliases"]}
        update = registry.call("ModelService.UpdateModel", model=lift, update_mask=mask, by=TRAINER)
        assert (await refusal(update))[1] == "PERMISSION_MISSING"
        described = {"name": MODEL, "description": "new"}
        changed = await registry.call("ModelService.UpdateModel", model=described, by=TRAINER)
        assert list(changed.model.protected_aliases) == ["blue", "champion"]
        lifted = await registry.call("ModelService.UpdateModel", model=lift, update_mask=mask)
        assert list(lifted.model.protected_aliases) == []
        assert lifted.model.etag != changed.model.etag
        last = json.loads((await registry.ledger())[-1].content_json)
        assert last["before"]["protected_aliases"] == ["blue", "champion"]
        assert (await set_alias(registry, ONE, by=TRAINER)).alias.version == ONE

    with_registry(tmp_path, test)


@pytest.mark.parametrize(
    "alias",
    [
        *("production", "staging", "none", "archived", "latest", "previous", "next-minor"),
        *("v1", "v1.2.0", "x", "x.1", "1", "1.2.0", "Champion", "-a", "a" * 65, "a b", "é"),
    ],
)
def test_what_means_something_else_cannot_be_an_alias(tmp_path: Path, alias: str) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        name = f"{MODEL}/aliases/{alias}"
        code, reason, _ = await refusal(set_alias(registry, ONE, name))
        assert code == "INVALID_ARGUMENT"
        assert reason in {"FIELD_INVALID", "RESOURCE_NAME_INVALID"}
        # Nothing was in Production before, which is what that word always stands for.
        expected = "NOT_FOUND" if alias == "previous" else "INVALID_ARGUMENT"
        assert (await refusal(resolve(registry, alias=alias)))[0] == expected

    with_registry(tmp_path, test)


def test_only_versions_of_the_model_that_are_ready(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        other = f"{PARENT}/models/other/versions/1.0.0"
        assert (await refusal(set_alias(registry, other)))[2]["field"] == "version"
        absent = f"{MODEL}/versions/9.9.9"
        assert (await refusal(set_alias(registry, absent)))[:2] == ("NOT_FOUND", "NOT_FOUND")
        broken = f"{PARENT}/experiments/wine/runs/broken"
        registry.add_run({"model/lost.bin": b"lost"}, broken, stored=False)
        await registry.register("2.0.0", source_run=broken)
        failed = set_alias(registry, f"{MODEL}/versions/2.0.0")
        assert (await refusal(failed))[1] == "VERSION_NOT_READY"

    with_registry(tmp_path, test)


def test_etags_guard_and_request_ids_make_retries_safe(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        first = (await set_alias(registry, ONE, etag="none")).alias
        stale = set_alias(registry, TWO, etag="none")
        assert (await refusal(stale))[1] == "ETAG_MISMATCH"
        key = "6f1c1b1e-8d0a-4f5e-9a57-0d6f1f2b3c4d"
        moved = await set_alias(registry, TWO, etag=first.etag, request_id=key)
        assert moved.former_version == ONE
        repeated = await set_alias(registry, TWO, etag=first.etag, request_id=key)
        assert repeated == moved
        stale_end = registry.call("AliasService.DeleteAlias", name=CHAMPION, etag=first.etag)
        assert (await refusal(stale_end))[1] == "ETAG_MISMATCH"

    with_registry(tmp_path, test)


def test_a_version_that_bears_an_alias_cannot_be_deleted(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await set_alias(registry, ONE)
        code, reason, metadata = await refusal(
            registry.call("ModelService.DeleteVersion", name=ONE)
        )
        assert (code, reason) == ("FAILED_PRECONDITION", "RESOURCE_HELD")
        assert metadata["holder"] == CHAMPION
        named = await resolve(registry)
        await set_alias(registry, TWO)
        key = "6f1c1b1e-8d0a-4f5e-9a57-0d6f1f2b3c4d"
        for _ in range(2):
            await registry.call("ModelService.DeleteVersion", name=ONE, request_id=key)
        then = resolve(registry, at=named.alias_start_time)
        assert (await refusal(then))[2]["resource"] == ONE

    with_registry(tmp_path, test)


def test_whoever_is_served_only_gets_what_is_in_production(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        nothing = await refusal(resolve(registry, by=SERVED))
        await set_alias(registry, ONE)
        something = await refusal(resolve(registry, by=SERVED))
        assert nothing == something
        assert nothing[:2] == ("PERMISSION_DENIED", "PERMISSION_MISSING")
        await registry.move("1.0.0", "PRODUCTION")
        assert (await resolve(registry, by=SERVED)).version.name == ONE
        assert (await refusal(set_alias(registry, TWO, by=SERVED)))[1] == "PERMISSION_MISSING"
        now = Timestamp()
        now.GetCurrentTime()
        assert (await refusal(resolve(registry, by=SERVED, at=now)))[1] == "PERMISSION_MISSING"

    with_registry(tmp_path, test)


def test_versions_are_found_by_alias_and_creator(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        await set_alias(registry, ONE)
        await set_alias(registry, ONE, f"{MODEL}/aliases/canary")

        async def found(text: str) -> list[str]:
            answer = await registry.call("ModelService.ListVersions", parent=MODEL, filter=text)
            return [version.version for version in answer.versions]

        assert await found('alias = "champion"') == ["1.0.0"]
        assert await found("alias:canary OR alias = x1") == ["1.0.0"]
        assert await found("alias:*") == ["1.0.0"]
        assert await found("NOT alias:*") == ["1.1.0"]
        assert await found(f'creator = "{GRACE.principal.id}"') == ["1.1.0", "1.0.0"]
        assert await found('creator = "user:demo:nobody"') == []
        listed = await registry.call("ModelService.ListVersions", parent=MODEL)
        assert [list(item.aliases) for item in listed.versions] == [[], ["canary", "champion"]]
        models = await registry.call(
            "ModelService.ListModels", parent=PARENT, filter=f'creator = "{GRACE.principal.id}"'
        )
        assert [model.name for model in models.models] == [MODEL]

    with_registry(tmp_path, test)


def test_aliases_are_listed_in_pages_and_by_filter(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        for alias in ("c", "a", "b"):
            await set_alias(registry, TWO if alias == "b" else ONE, f"{MODEL}/aliases/{alias}")
        token, seen = "", []
        while True:
            page = await registry.call(
                "AliasService.ListAliases", parent=MODEL, page_size=2, page_token=token
            )
            seen += [item.name.rpartition("/")[2] for item in page.aliases]
            token = page.next_page_token
            if not token:
                break
        assert seen == ["a", "b", "c"]
        chosen = await registry.call(
            "AliasService.ListAliases", parent=MODEL, filter=f'version = "{TWO}"'
        )
        assert [item.name for item in chosen.aliases] == [f"{MODEL}/aliases/b"]
        absent = registry.call("AliasService.ListAliases", parent=f"{PARENT}/models/none-such")
        assert (await refusal(absent))[0] == "NOT_FOUND"

    with_registry(tmp_path, test)
