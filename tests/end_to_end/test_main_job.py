"""The main job with nothing but the generated stubs, through the gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from studbook.exceptions import FailedPrecondition, NotFound, PermissionDenied
from studbook.identity.v1 import principal_pb2
from studbook.registry.v1 import (
    lineage_service_pb2,
    model_service_pb2,
    promotion_service_pb2,
    serving_service_pb2,
    version_pb2,
)
from studbook.tracking.v1 import run_service_pb2
from tests.end_to_end import story

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.conftest import Everyone


def test_main_job(everyone: Everyone, new_id: Callable[[str], str]) -> None:
    experiment = story.create_experiment(everyone.ada, new_id("wine"))
    trained = [story.train(everyone.ada, experiment, seed) for seed in (1, 2, 3)]

    compared = everyone.ada.runs.CompareRuns(
        run_service_pb2.CompareRunsRequest(runs=[run.run for run in trained])
    )
    assert [value.int_value for value in compared.params[0].values] == [1, 2, 3]
    assert compared.metrics[0].deltas[2] == pytest.approx(1 / 12 - 1 / 10)

    model = story.create_model(everyone.ada, new_id("wine-cultivar"))
    first = story.register(everyone.ada, model, "1.0.0", trained[0].run)
    second = story.register(everyone.ada, model, "1.1.0", trained[1].run)
    assert first.state == version_pb2.VERSION_STATE_READY

    with pytest.raises(PermissionDenied) as refused:
        story.promote(everyone.ada, first.name)
    assert refused.value.reason == "PERMISSION_MISSING"
    assert refused.value.metadata["permission"] == "models.promote"

    promoted = story.promote(everyone.release, first.name)
    assert promoted.version.stage == version_pb2.STAGE_PRODUCTION
    before_second = Timestamp()
    before_second.CopyFrom(promoted.transition.create_time)
    replaced = story.promote(everyone.release, second.name)
    assert replaced.displaced.name == first.name
    assert replaced.displaced.stage == version_pb2.STAGE_ARCHIVED

    resolved = story.in_production(everyone.serving, model)
    assert resolved.version.name == second.name
    files = story.fetch(everyone.serving, second.name)
    assert files == {"model.bin": trained[1].model_bytes}

    past = everyone.max.serving.ResolveVersion(
        serving_service_pb2.ResolveVersionRequest(model=model, at=before_second)
    )
    assert past.version.name == first.name
    assert past.stage_end_time == resolved.stage_start_time

    back = everyone.grace.promotions.Rollback(
        promotion_service_pb2.RollbackRequest(name=model, reason="drift")
    )
    assert (back.version.name, back.displaced.name) == (first.name, second.name)
    assert story.in_production(everyone.serving, model).version.name == first.name


def test_lineage_answers_after_the_run_is_deleted(
    everyone: Everyone, new_id: Callable[[str], str]
) -> None:
    begun = story.begin(everyone.ada, new_id, seed=7)
    everyone.ada.runs.DeleteRun(run_service_pb2.DeleteRunRequest(name=begun.trained.run))

    answer = everyone.max.lineage.GetLineage(
        lineage_service_pb2.GetLineageRequest(name=begun.version)
    )
    lineage = answer.lineage
    assert lineage.run.name == begun.trained.run
    assert lineage.run.creator.display_name == "Ada"
    assert [(p.key, p.int_value) for p in lineage.run.params] == [("seed", 7)]
    assert [(d.name, d.role) for d in lineage.datasets] == [(begun.trained.dataset, "training")]
    assert lineage.code.commit == "a" * 40
    assert lineage.environment.python_version == "3.11.7"
    assert [metric.count for metric in lineage.run.metrics] == [10]


def test_lineage_says_which_pipeline_promoted(
    everyone: Everyone, new_id: Callable[[str], str]
) -> None:
    begun = story.begin(everyone.ada, new_id)
    story.promote(everyone.release, begun.version)
    answer = everyone.max.lineage.GetLineage(
        lineage_service_pb2.GetLineageRequest(name=begun.version)
    )
    actor = answer.transitions[0].actor
    assert actor.id == "pipeline:release"
    assert actor.kind == principal_pb2.PRINCIPAL_KIND_PIPELINE
    assert actor.pipeline_claims["repository_id"] == "730114502"
    assert actor.pipeline_claims["environment"] == "production"
    entries = everyone.max.lineage.ListLedgerEntries(
        lineage_service_pb2.ListLedgerEntriesRequest(
            parent=begun.model, filter='action = "version.transition"'
        )
    ).entries
    # The ledger's actor says, too, by which token, of which issuer.
    assert [entry.actor for entry in entries] == [actor]
    assert actor.token_id
    assert actor.issuer
    assert actor.subject


def test_refused_promotion_is_in_the_ledger(
    everyone: Everyone, new_id: Callable[[str], str]
) -> None:
    begun = story.begin(everyone.ada, new_id)
    with pytest.raises(PermissionDenied):
        story.promote(everyone.ada, begun.version)
    entries = everyone.max.lineage.ListLedgerEntries(
        lineage_service_pb2.ListLedgerEntriesRequest(parent=begun.model)
    ).entries
    assert [entry.outcome for entry in entries][-1] == 2
    assert entries[-1].actor.id == "user:dev:ada"
    positions = [entry.position for entry in entries]
    assert positions == sorted(set(positions))


def test_run_in_production_cannot_be_deleted(
    everyone: Everyone, new_id: Callable[[str], str]
) -> None:
    begun = story.begin(everyone.ada, new_id)
    story.promote(everyone.release, begun.version)
    with pytest.raises(FailedPrecondition, match=begun.version) as refused:
        everyone.ada.runs.DeleteRun(run_service_pb2.DeleteRunRequest(name=begun.trained.run))
    assert refused.value.reason == "RESOURCE_HELD"


def test_serving_reads_production_and_nothing_else(
    everyone: Everyone, new_id: Callable[[str], str]
) -> None:
    begun = story.begin(everyone.ada, new_id)
    with pytest.raises(NotFound):
        story.in_production(everyone.serving, begun.model)
    with pytest.raises(PermissionDenied):
        story.fetch(everyone.serving, begun.version)
    with pytest.raises(PermissionDenied):
        everyone.serving.models.GetVersion(model_service_pb2.GetVersionRequest(name=begun.version))
    with pytest.raises(PermissionDenied):
        everyone.serving.serving.ResolveVersion(
            serving_service_pb2.ResolveVersionRequest(model=begun.model, version="1.0.0")
        )


def test_registering_an_unknown_run_leaves_nothing(
    everyone: Everyone, new_id: Callable[[str], str]
) -> None:
    experiment = story.create_experiment(everyone.ada, new_id("wine"))
    model = story.create_model(everyone.ada, new_id("wine-cultivar"))
    with pytest.raises(NotFound):
        story.register(everyone.ada, model, "1.0.0", f"{experiment}/runs/none")
    listed = everyone.ada.models.ListVersions(model_service_pb2.ListVersionsRequest(parent=model))
    assert list(listed.versions) == []
