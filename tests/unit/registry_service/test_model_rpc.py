"""Models and versions over gRPC: create, change, list, delete."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.registry_service.serving_registry import (
    MODEL,
    PARENT,
    RUN,
    Registry,
    caller,
    refusal,
    with_registry,
)

if TYPE_CHECKING:
    from pathlib import Path

ONE = f"{MODEL}/versions/1.0.0"


async def create(registry: Registry, model_id: str = "wine-cultivar", **fields: Any) -> Any:
    answer = await registry.call(
        "ModelService.CreateModel", parent=PARENT, model_id=model_id, **fields
    )
    return answer.model


def test_a_models_life(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        request_id = str(uuid.uuid4())
        given = {"description": "Tells wines apart", "tags": {"team": "cellar"}}
        model = await create(registry, model=given, request_id=request_id)
        assert model.name == MODEL
        assert model.creator.id == "user:demo:grace"
        assert await create(registry, model=given, request_id=request_id) == model
        assert (await refusal(create(registry)))[1] == "ALREADY_EXISTS"
        changed = await registry.call(
            "ModelService.UpdateModel",
            model={"name": MODEL, "tags": {"team": "bottling"}, "etag": model.etag},
        )
        assert changed.model.description == "Tells wines apart"
        assert changed.model.tags == {"team": "bottling"}
        assert changed.model.etag != model.etag
        _, reason, metadata = await refusal(
            registry.call("ModelService.DeleteModel", name=MODEL, etag=model.etag)
        )
        assert (reason, metadata["etag"]) == ("ETAG_MISMATCH", changed.model.etag)
        await registry.call("ModelService.DeleteModel", name=MODEL, validate_only=True)
        assert (await registry.call("ModelService.GetModel", name=MODEL)).model == changed.model
        await registry.call("ModelService.DeleteModel", name=MODEL, etag=changed.model.etag)
        assert (await refusal(registry.call("ModelService.GetModel", name=MODEL)))[1] == "NOT_FOUND"
        again = await create(registry)
        assert again.uid != model.uid
        actions = [entry.action for entry in await registry.ledger()]
        assert actions == ["model.create", "model.update", "model.delete", "model.create"]

    with_registry(tmp_path, test)


def test_an_update_that_changes_nothing_leaves_no_entry(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        model = await create(registry)
        answer = await registry.call("ModelService.UpdateModel", model={"name": MODEL})
        assert answer.model == model
        assert len(await registry.ledger()) == 1

    with_registry(tmp_path, test)


def test_update_masks(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await create(registry, model={"description": "old", "tags": {"a": "b"}})

        async def update(*paths: str, **fields: Any) -> Any:
            answer = await registry.call(
                "ModelService.UpdateModel",
                model={"name": MODEL, **fields},
                update_mask={"paths": paths},
            )
            return answer.model

        assert (await update("description", description="new", tags={"x": "y"})).tags == {"a": "b"}
        cleared = await update("*", description="newer")
        assert (cleared.description, dict(cleared.tags)) == ("newer", {})
        _, reason, metadata = await refusal(update("production_version"))
        assert (reason, metadata["path"]) == ("UPDATE_MASK_INVALID", "production_version")

    with_registry(tmp_path, test)


def test_lists_show_what_the_caller_may_see(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        for name in ("barrel", "cork", "grape"):
            await create(registry, name, model={"tags": {"initial": name[0]}})
        picky = caller("ada", {"models.read": (f"{PARENT}/models/c*",)})
        answer = await registry.call("ModelService.ListModels", parent=PARENT, by=picky)
        assert [model.name for model in answer.models] == [f"{PARENT}/models/cork"]
        page = await registry.call("ModelService.ListModels", parent=PARENT, page_size=2)
        rest = await registry.call(
            "ModelService.ListModels",
            parent=PARENT,
            page_size=2,
            page_token=page.next_page_token,
        )
        assert [len(page.models), len(rest.models), rest.next_page_token] == [2, 1, ""]
        found = await registry.call(
            "ModelService.ListModels", parent=PARENT, filter='tags.initial = "g"'
        )
        assert [model.name for model in found.models] == [f"{PARENT}/models/grape"]
        descending = await registry.call(
            "ModelService.ListModels", parent=PARENT, order_by="create_time desc"
        )
        assert descending.models[0].name == f"{PARENT}/models/grape"

    with_registry(tmp_path, test)


def test_versions_are_listed_and_compared_by_precedence(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        registry.add_run({"model/a": b"a"})
        await create(registry)
        for number in ("1.2.0", "1.10.0", "1.10.0-rc.2", "1.10.0-rc.10", "1.9.3"):
            await registry.register(number, version={"description": f"is {number}"})

        async def numbers(**fields: Any) -> list[str]:
            answer = await registry.call("ModelService.ListVersions", parent=MODEL, **fields)
            return [version.version for version in answer.versions]

        highest_first = ["1.10.0", "1.10.0-rc.10", "1.10.0-rc.2", "1.9.3", "1.2.0"]
        assert await numbers() == highest_first
        assert await numbers(order_by="version") == highest_first[::-1]
        assert await numbers(filter='version >= "1.9.3" AND version < "1.10.0"') == [
            "1.10.0-rc.10",
            "1.10.0-rc.2",
            "1.9.3",
        ]
        assert await numbers(filter="stage = NONE AND state = READY") == highest_first
        _, reason, _ = await refusal(numbers(filter='version > "new"'))
        assert reason == "FILTER_INVALID"
        _, reason, _ = await refusal(numbers(order_by="stage"))
        assert reason == "ORDER_BY_INVALID"
        model = (await registry.call("ModelService.GetModel", name=MODEL)).model
        assert model.highest_version == f"{MODEL}/versions/1.10.0"

    with_registry(tmp_path, test)


def test_a_versions_texts_change_and_its_number_stays_taken(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        registry.add_run({"model/a": b"a"})
        await create(registry)
        version = await registry.register("1.0.0")
        changed = await registry.call(
            "ModelService.UpdateVersion",
            version={"name": ONE, "description": "the first", "etag": version.etag},
        )
        assert changed.version.description == "the first"
        _, reason, metadata = await refusal(registry.call("ModelService.DeleteModel", name=MODEL))
        assert (reason, metadata) == ("NOT_EMPTY", {"resource": MODEL})
        await registry.call("ModelService.DeleteVersion", name=ONE)
        assert (await refusal(registry.call("ModelService.GetVersion", name=ONE)))[1] == "NOT_FOUND"
        _, reason, metadata = await refusal(registry.register("1.0.0"))
        assert (reason, metadata["next_patch"]) == ("VERSION_EXISTS", "1.0.1")
        await registry.call("ModelService.DeleteModel", name=MODEL)

    with_registry(tmp_path, test)


@pytest.mark.parametrize(
    ("fields", "reason", "field"),
    [
        ({"version_id": ""}, "FIELD_REQUIRED", "version_id"),
        ({"version_id": "1.0"}, "VERSION_INVALID", "version_id"),
        ({"version_id": "01.0.0"}, "VERSION_INVALID", "version_id"),
        ({"version_id": "1.0.0+build"}, "VERSION_INVALID", "version_id"),
        ({"version_id": "\u0661.0.0"}, "VERSION_INVALID", "version_id"),
        ({"version_id": "1.0.0\n"}, "VERSION_INVALID", "version_id"),
        ({"source_run": "r1"}, "RESOURCE_NAME_INVALID", "source_run"),
        ({"source_run": RUN.replace("main", "other")}, "FIELD_INVALID", "source_run"),
        ({"artifact_paths": []}, "FIELD_REQUIRED", "artifact_paths"),
        ({"artifact_paths": ["../model"]}, "ARTIFACT_PATH_INVALID", "artifact_paths[0]"),
        ({"artifact_paths": ["a", "/etc"]}, "ARTIFACT_PATH_INVALID", "artifact_paths[1]"),
        ({"version": {"tags": {"": "x"}}}, "FIELD_INVALID", "version.tags"),
        ({"version": {"description": "x" * 4097}}, "FIELD_INVALID", "version.description"),
        ({"parent": f"{PARENT}/models/-"}, "RESOURCE_NAME_INVALID", "parent"),
    ],
)
def test_bad_registrations_name_the_field(
    tmp_path: Path, fields: dict[str, Any], reason: str, field: str
) -> None:
    async def test(registry: Registry) -> None:
        request = {
            "parent": MODEL,
            "version_id": "1.0.0",
            "source_run": RUN,
            "artifact_paths": ["model"],
            **fields,
        }
        answer = await refusal(registry.call("ModelService.CreateVersion", **request))
        assert answer[:2] == ("INVALID_ARGUMENT", reason)
        assert answer[2]["field"] == field
        assert registry.tracking.calls == 0

    with_registry(tmp_path, test)


@pytest.mark.parametrize(
    ("method", "fields", "reason"),
    [
        ("CreateModel", {"parent": PARENT, "model_id": "Wine"}, "FIELD_INVALID"),
        ("CreateModel", {"parent": PARENT}, "FIELD_REQUIRED"),
        ("CreateModel", {"parent": "main", "model_id": "wine"}, "RESOURCE_NAME_INVALID"),
        ("GetModel", {"name": PARENT}, "RESOURCE_NAME_INVALID"),
        ("ListModels", {"parent": PARENT, "page_size": -1}, "FIELD_INVALID"),
        ("ListModels", {"parent": PARENT, "filter": "owner = x"}, "FILTER_INVALID"),
        ("ListModels", {"parent": PARENT, "page_token": "x"}, "PAGE_TOKEN_INVALID"),
        ("UpdateModel", {"model": {"description": "x"}}, "FIELD_REQUIRED"),
        ("DeleteVersion", {"name": f"{MODEL}/versions/1"}, "VERSION_INVALID"),
    ],
)
def test_bad_input(tmp_path: Path, method: str, fields: dict[str, Any], reason: str) -> None:
    async def test(registry: Registry) -> None:
        answer = await refusal(registry.call(f"ModelService.{method}", **fields))
        assert answer[:2] == ("INVALID_ARGUMENT", reason)

    with_registry(tmp_path, test)


def test_what_does_not_exist(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        registry.add_run({"model/a": b"a"})
        for call in (
            registry.call("ModelService.GetModel", name=MODEL),
            registry.call("ModelService.ListVersions", parent=MODEL),
            registry.call("ModelService.GetVersion", name=ONE),
            registry.call("ModelService.UpdateVersion", version={"name": ONE}),
            registry.call("ModelService.DeleteModel", name=MODEL),
            registry.call("PromotionService.ListTransitions", parent=MODEL),
            registry.call("PromotionService.Rollback", name=MODEL),
            registry.call("LineageService.GetLineage", name=ONE),
            registry.call("ServingService.ResolveVersion", model=MODEL),
            registry.register("1.0.0"),
        ):
            assert (await refusal(call))[:2] == ("NOT_FOUND", "NOT_FOUND")
        assert registry.tracking.calls == 0

    with_registry(tmp_path, test)
