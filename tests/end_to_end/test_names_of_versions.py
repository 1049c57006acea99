"""Aliases, next numbers and reports of what was loaded, by real callers through the gateway."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC
from typing import TYPE_CHECKING

import pytest

from studbook import model_aliases, model_registry
from studbook.exceptions import NotFound, PermissionDenied
from studbook.registry.v1 import (
    loaded_pb2,
    model_pb2,
    model_service_pb2,
    serving_service_pb2,
)
from tests.end_to_end import story

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.end_to_end.conftest import Everyone


@pytest.fixture
def model(everyone: Everyone, new_id: Callable[[str], str]) -> str:
    """Id of a model with the versions 1.0.0 and 1.1.0, the first in Production."""
    model_id = new_id("wine-cultivar")
    name = story.create_model(everyone.ada, model_id)
    experiment = story.create_experiment(everyone.ada, new_id("wine"))
    for seed, number in enumerate(("1.0.0", "1.1.0"), start=1):
        trained = story.train(everyone.ada, experiment, seed)
        story.register(everyone.ada, name, number, trained.run)
    story.promote(everyone.release, f"{name}/versions/1.0.0")
    return model_id


def test_a_protected_alias_is_the_release_pipelines_to_move(everyone: Everyone, model: str) -> None:
    mask = model_service_pb2.UpdateModelRequest(
        model=model_pb2.Model(name=f"workspaces/main/models/{model}", protected_aliases=["live"])
    )
    with pytest.raises(PermissionDenied):
        everyone.ada.models.UpdateModel(mask)
    everyone.olga.models.UpdateModel(mask)

    with pytest.raises(PermissionDenied) as refused:
        model_aliases.set_alias(f"{model}@1.0.0", "live", client=everyone.ada)
    assert refused.value.metadata["permission"] == "models.promote"
    model_aliases.set_alias(f"{model}@1.0.0", "live", client=everyone.release)
    model_aliases.set_alias(f"{model}@1.1.0", "canary", client=everyone.ada)

    found = model_registry.resolve(f"{model}@live", client=everyone.serving)
    assert found.version.version == "1.0.0"
    with pytest.raises(PermissionDenied):
        model_registry.resolve(f"{model}@canary", client=everyone.serving)
    answer = model_registry.resolve(f"{model}@canary", client=everyone.max)
    assert list(answer.version.aliases) == ["canary"]
    model_aliases.delete_alias(f"{model}@canary", client=everyone.ada)
    with pytest.raises(NotFound):
        model_registry.resolve(f"{model}@canary", client=everyone.max)
    then = answer.alias_start_time.ToDatetime(tzinfo=UTC)
    past = model_registry.resolve(f"{model}@canary", at=then, client=everyone.max)
    assert past.version.version == "1.1.0"


def test_several_who_register_the_next_version_at_once(everyone: Everyone, model: str) -> None:
    version = model_registry.resolve(f"{model}@1.1.0", client=everyone.ada).version

    def register(_turn: int) -> str:
        registered = model_registry.register(
            version.source_run, model, "next-patch", "model", client=everyone.ada
        )
        return registered.version

    with ThreadPoolExecutor(6) as threads:
        numbers = sorted(threads.map(register, range(6)))
    assert numbers == [f"1.1.{patch}" for patch in range(1, 7)]
    best = model_registry.resolve(f"{model}@~1.1", client=everyone.ada)
    assert best.version.version == "1.1.6"


def test_what_was_fetched_is_reported_as_evidence(
    everyone: Everyone, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUDBOOK_INSTANCE", "pod-1")
    fetched = model_registry.fetch(model, tmp_path / "pod-1", client=everyone.serving)
    assert fetched.reported
    monkeypatch.setenv("STUDBOOK_INSTANCE", "pod-2")
    model_registry.fetch(f"{model}@1.1.0", tmp_path / "pod-2", client=everyone.ada)
    unreported = model_registry.fetch(
        model, tmp_path / "pod-3", report=False, client=everyone.serving
    )
    assert not unreported.reported

    request = serving_service_pb2.ListLoadedRequest(
        parent=f"workspaces/main/models/{model}", order_by="instance"
    )
    loaded = everyone.max.serving.ListLoaded(request).loaded
    assert [(report.instance, report.match) for report in loaded] == [
        ("pod-1", loaded_pb2.LOADED_MATCH_PRODUCTION),
        ("pod-2", loaded_pb2.LOADED_MATCH_OTHER_VERSION),
    ]
    assert loaded[0].digest == fetched.version.digest
    assert loaded[0].reporter.id.startswith("service:")
