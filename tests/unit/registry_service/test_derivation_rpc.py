"""Parents of versions, and what came of datasets, bases and versions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.unit.registry_service.serving_registry import (
    MODEL,
    PARENT,
    Registry,
    caller,
    refusal,
    with_registry,
)

if TYPE_CHECKING:
    from pathlib import Path

DATASET = f"{PARENT}/datasets/wine/versions/1"
BASE = {"uri": "https://hub.example/base", "digest": f"sha256:{'b' * 64}"}
FIRST = f"{MODEL}/versions/1.0.0"


async def prepare(registry: Registry) -> Any:
    registry.add_run({"model/model.joblib": b"forest"})
    await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
    return await registry.register("1.0.0")


async def derived(registry: Registry, **origin: Any) -> list[Any]:
    answer = await registry.call("LineageService.ListDerivedVersions", parent=PARENT, **origin)
    return list(answer.versions)


def test_parents_stand_in_the_lineage_with_their_digests(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        first = await prepare(registry)
        await registry.register("1.1.0", parents=[{"version": FIRST}, BASE])
        answer = await registry.call("LineageService.GetLineage", name=f"{MODEL}/versions/1.1.0")
        named = [(one.version, one.uri, one.digest) for one in answer.lineage.parents]
        assert named == [(FIRST, "", first.digest), ("", BASE["uri"], BASE["digest"])]
        entry = next(
            entry
            for entry in reversed(await registry.ledger())
            if entry.resource.endswith("1.1.0") and entry.action == "version.create"
        )
        assert first.digest in entry.content_json
        assert BASE["uri"] in entry.content_json

    with_registry(tmp_path, test)


@pytest.mark.parametrize(
    ("parents", "reason"),
    [
        ([{"version": f"{MODEL}/versions/9.0.0"}], "NOT_FOUND"),
        ([{"version": "wine@1.0.0"}], "RESOURCE_NAME_INVALID"),
        ([{"version": FIRST, "digest": f"sha256:{'0' * 64}"}], "FIELD_INVALID"),
        ([{"version": FIRST, "uri": "https://hub.example"}], "FIELD_INVALID"),
        ([{"version": FIRST}, {"version": FIRST}], "FIELD_INVALID"),
        ([{}], "FIELD_REQUIRED"),
        ([{"uri": "https://hub.example/base"}], "FIELD_REQUIRED"),
        ([{"uri": "hub example", "digest": BASE["digest"]}], "FIELD_INVALID"),
        ([{"uri": "https://hub.example/base", "digest": "sha256:12"}], "FIELD_INVALID"),
        ([{**BASE, "uri": f"https://hub.example/{n}"} for n in range(17)], "FIELD_INVALID"),
    ],
)
def test_faulty_parents_are_refused(
    tmp_path: Path, parents: list[dict[str, str]], reason: str
) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        before = await registry.ledger()
        assert (await refusal(registry.register("1.1.0", parents=parents)))[1] == reason
        assert await registry.ledger() == before

    with_registry(tmp_path, test)


def test_a_parent_must_be_readable(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        other = f"{PARENT}/models/other"
        await registry.call("ModelService.CreateModel", parent=PARENT, model_id="other")
        limited = caller(
            "limited",
            {
                "models.register": ("**",),
                "runs.read": ("**",),
                "models.read": (f"{other}/**",),
            },
        )
        call = registry.call(
            "ModelService.CreateVersion",
            by=limited,
            parent=other,
            version_id="1.0.0",
            source_run="workspaces/main/experiments/wine/runs/r1",
            artifact_paths=["model"],
            parents=[{"version": FIRST}],
        )
        _, reason, metadata = await refusal(call)
        assert reason == "PERMISSION_MISSING"
        assert metadata["permission"] == "models.read"
        assert metadata["resource"] == FIRST

    with_registry(tmp_path, test)


def test_what_came_of_a_dataset_tells_how_and_when_in_production(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        await prepare(registry)
        registry.tracking.runs["workspaces/main/experiments/wine/runs/r1"].run.ClearField(
            "dataset_inputs"
        )
        await registry.register("1.1.0", parents=[{"version": FIRST}])
        await registry.register("1.2.0", parents=[BASE])
        await registry.move("1.0.0", "PRODUCTION")
        await registry.move("1.1.0", "PRODUCTION")

        by_name = await derived(registry, dataset=DATASET)
        assert [found.version.version for found in by_name] == ["1.0.0", "1.1.0"]
        first, second = by_name
        assert [(used.name, used.role, used.digest) for used in first.datasets] == [
            (DATASET, "training", f"sha256:{'d' * 64}")
        ]
        assert not first.parents
        assert not second.datasets
        assert [parent.version for parent in second.parents] == [FIRST]
        assert first.production[0].end_time == second.production[0].start_time
        assert not second.production[0].HasField("end_time")

        assert await derived(registry, dataset=f"{PARENT}/datasets/wine") == by_name
        assert await derived(registry, digest=f"sha256:{'d' * 64}") == by_name
        assert [found.version.name for found in await derived(registry, version=FIRST)] == [
            second.version.name
        ]
        of_base = await derived(registry, digest=BASE["digest"])
        assert [found.version.version for found in of_base] == ["1.2.0"]
        kept = await derived(registry, dataset=DATASET, filter="stage = PRODUCTION")
        assert kept == [second]

    with_registry(tmp_path, test)


@pytest.mark.parametrize(
    ("origin", "reason"),
    [
        ({}, "FIELD_REQUIRED"),
        ({"dataset": "wine"}, "RESOURCE_NAME_INVALID"),
        ({"dataset": f"{DATASET}/columns/1"}, "RESOURCE_NAME_INVALID"),
        ({"digest": "d" * 64}, "FIELD_INVALID"),
        ({"version": MODEL}, "RESOURCE_NAME_INVALID"),
        ({"dataset": DATASET, "filter": "colour = red"}, "FILTER_INVALID"),
        ({"dataset": DATASET, "page_token": "x"}, "PAGE_TOKEN_INVALID"),
    ],
)
def test_faulty_questions_are_refused(tmp_path: Path, origin: dict[str, str], reason: str) -> None:
    async def test(registry: Registry) -> None:
        assert (await refusal(derived(registry, **origin)))[1] == reason

    with_registry(tmp_path, test)
