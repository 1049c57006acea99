"""Whatever is or ever was in Production stays, with all that it rests on, whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from service_chassis.blob_store import open_blob_store
from service_chassis.database import Database
from studbook.exceptions import AlreadyExists, FailedPrecondition
from studbook.registry.v1 import (
    alias_service_pb2,
    lineage_service_pb2,
    model_service_pb2,
    version_pb2,
)
from studbook.tracking.v1 import (
    artifact_pb2,
    artifact_service_pb2,
    dataset_pb2,
    dataset_service_pb2,
    experiment_service_pb2,
    run_service_pb2,
)
from tests.end_to_end import story
from tracking_service.collection import Collector, GracePeriods

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_stack.stack import LocalStack
    from studbook.client import Client
    from tests.end_to_end.conftest import Everyone
    from tests.end_to_end.story import Trained


def reason(call: Callable[[], object]) -> str:
    with pytest.raises(FailedPrecondition) as refused:
        call()
    return refused.value.reason


def delete_version(client: Client, version: str) -> None:
    client.models.DeleteVersion(model_service_pb2.DeleteVersionRequest(name=version))


def collect_at_once(stack: LocalStack) -> None:
    """Remove from the artifact store whatever nothing refers to, as the service does some day."""
    folder = stack.folder.path
    database = Database(f"sqlite:///{folder / 'tracking.sqlite'}", "tracking_service")
    try:
        blobs = open_blob_store(str(folder / "artifacts"))
        Collector(database, blobs, GracePeriods(0, 0)).collect()
    finally:
        database.close()


@pytest.fixture(params=["is in Production", "was in Production", "was displaced from Production"])
def kept(
    request: pytest.FixtureRequest, everyone: Everyone, new_id: Callable[[str], str]
) -> tuple[str, Trained]:
    """A version that is or was in Production, and the run that made it."""
    begun = story.begin(everyone.ada, new_id)
    story.promote(everyone.release, begun.version)
    if request.param == "was in Production":
        story.promote(everyone.release, begun.version, version_pb2.STAGE_ARCHIVED)
    if request.param == "was displaced from Production":
        other = story.train(everyone.ada, story.create_experiment(everyone.ada, new_id("wine")), 2)
        story.promote(
            everyone.release, story.register(everyone.ada, begun.model, "1.1.0", other.run).name
        )
    return begun.version, begun.trained


def test_neither_version_nor_model_can_be_deleted(
    everyone: Everyone, kept: tuple[str, Trained]
) -> None:
    version, _ = kept
    assert reason(lambda: delete_version(everyone.olga, version)) == "RESOURCE_HELD"
    request = model_service_pb2.DeleteModelRequest(name=version.rpartition("/versions/")[0])
    assert reason(lambda: everyone.olga.models.DeleteModel(request)) == "NOT_EMPTY"


def test_neither_run_nor_experiment_can_be_deleted(
    everyone: Everyone, kept: tuple[str, Trained]
) -> None:
    version, trained = kept
    run = run_service_pb2.DeleteRunRequest(name=trained.run)
    for client in (everyone.ada, everyone.olga):
        with pytest.raises(FailedPrecondition, match=version) as refused:
            client.runs.DeleteRun(run)
        assert refused.value.reason == "RESOURCE_HELD"
    experiment = experiment_service_pb2.DeleteExperimentRequest(
        name=trained.run.rpartition("/runs/")[0]
    )
    assert reason(lambda: everyone.olga.experiments.DeleteExperiment(experiment)) == "NOT_EMPTY"


def test_the_files_of_the_run_cannot_be_replaced(
    everyone: Everyone, kept: tuple[str, Trained]
) -> None:
    _, trained = kept
    other = b"another model"
    everyone.ada.artifacts.Upload(story.upload_messages(trained.run, other))
    replacing = artifact_service_pb2.CreateArtifactsRequest(
        run=trained.run,
        artifacts=[artifact_pb2.Artifact(path="model/model.bin", digest=story.digest_of(other))],
        allow_overwrite=True,
    )
    assert reason(lambda: everyone.ada.artifacts.CreateArtifacts(replacing)) == "RESOURCE_HELD"


def test_the_record_of_its_dataset_cannot_be_changed(
    everyone: Everyone, kept: tuple[str, Trained]
) -> None:
    """There is no call that deletes a dataset; registering another under its name is refused."""
    _, trained = kept
    name, _, number = trained.dataset.rpartition("/versions/")
    get = dataset_service_pb2.GetDatasetRequest(name=trained.dataset)
    before = everyone.ada.datasets.GetDataset(get).dataset
    other = dataset_pb2.Dataset(
        digest=story.digest_of(b"other rows"), format="file/v1", row_count=-1
    )
    request = dataset_service_pb2.RegisterDatasetRequest(
        parent=name, version_id=number, dataset=other
    )
    with pytest.raises(AlreadyExists):
        everyone.olga.datasets.RegisterDataset(request)
    assert everyone.ada.datasets.GetDataset(get).dataset == before


def test_its_bytes_outlive_every_collection(
    stack: LocalStack, everyone: Everyone, kept: tuple[str, Trained]
) -> None:
    version, trained = kept
    collect_at_once(stack)
    assert story.fetch(everyone.ada, version) == {"model.bin": trained.model_bytes}
    lineage = everyone.max.lineage.GetLineage(
        lineage_service_pb2.GetLineageRequest(name=version)
    ).lineage
    assert [dataset.name for dataset in lineage.datasets] == [trained.dataset]


def test_a_version_that_never_was_there_and_its_run_can_go_yet_not_its_bytes(
    stack: LocalStack, everyone: Everyone, new_id: Callable[[str], str]
) -> None:
    begun = story.begin(everyone.ada, new_id)
    alias = alias_service_pb2.SetAliasRequest(
        name=f"{begun.model}/aliases/canary", version=begun.version
    )
    everyone.ada.aliases.SetAlias(alias)
    assert reason(lambda: delete_version(everyone.olga, begun.version)) == "RESOURCE_HELD"
    everyone.ada.aliases.DeleteAlias(alias_service_pb2.DeleteAliasRequest(name=alias.name))

    everyone.ada.runs.DeleteRun(run_service_pb2.DeleteRunRequest(name=begun.trained.run))
    collect_at_once(stack)
    assert story.fetch(everyone.ada, begun.version) == {"model.bin": begun.trained.model_bytes}
    assert reason(lambda: story.promote(everyone.release, begun.version)) == "RUN_NOT_ACTIVE"
    delete_version(everyone.olga, begun.version)
