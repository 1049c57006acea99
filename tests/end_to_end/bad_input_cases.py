"""Calls that must be refused, each with its status code, its reason and the field at fault."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studbook.registry.v1 import (
    lineage_service_pb2,
    model_service_pb2,
    promotion_service_pb2,
    serving_service_pb2,
)
from studbook.tracking.v1 import (
    artifact_pb2,
    artifact_service_pb2,
    experiment_service_pb2,
    metric_pb2,
    metric_service_pb2,
    run_pb2,
    run_service_pb2,
)
from tests.end_to_end import story

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.end_to_end.conftest import Everyone

EXPERIMENT = "workspaces/main/experiments/bad-input"
RUN = f"{EXPERIMENT}/runs/r1"
MODEL = "workspaces/main/models/bad-input"
VERSION = f"{MODEL}/versions/1.0.0"
DIGEST = story.digest_of(b"bytes")
MIB = 1024 * 1024


@dataclass(frozen=True)
class Case:
    """A call that must be refused, and how."""

    call: Callable[[Everyone], Any]
    code: str
    reason: str
    field: str = ""


def list_runs(**fields: Any) -> Callable[[Everyone], Any]:
    request = run_service_pb2.ListRunsRequest(**{"parent": EXPERIMENT, **fields})
    return lambda everyone: everyone.ada.runs.ListRuns(request)


def get_run(name: str) -> Callable[[Everyone], Any]:
    return lambda everyone: everyone.ada.runs.GetRun(run_service_pb2.GetRunRequest(name=name))


def register(**fields: Any) -> Callable[[Everyone], Any]:
    request = model_service_pb2.CreateVersionRequest(
        **{
            "parent": MODEL,
            "version_id": "2.0.0",
            "source_run": RUN,
            "artifact_paths": ["model"],
            **fields,
        }
    )
    return lambda everyone: everyone.ada.models.CreateVersion(request)


def transition(**fields: Any) -> Callable[[Everyone], Any]:
    request = promotion_service_pb2.TransitionStageRequest(
        **{"name": VERSION, "to_stage": story.PRODUCTION, **fields}
    )
    return lambda everyone: everyone.release.promotions.TransitionStage(request)


def upload(
    data: bytes, *, digest: str = "", offset: int = 0, size: int | None = None
) -> Callable[[Everyone], Any]:
    def call(everyone: Everyone) -> Any:
        messages = list(story.upload_messages(RUN, data, digest=digest))
        messages[0].header.write_offset = offset
        if size is not None:
            messages[0].header.size_bytes = size
        return everyone.ada.artifacts.Upload(iter(messages))

    return call


def create_artifact(path: str, digest: str = DIGEST) -> Callable[[Everyone], Any]:
    request = artifact_service_pb2.CreateArtifactsRequest(
        run=RUN, artifacts=[artifact_pb2.Artifact(path=path, digest=digest)]
    )
    return lambda everyone: everyone.ada.artifacts.CreateArtifacts(request)


def append(**fields: Any) -> Callable[[Everyone], Any]:
    series = metric_pb2.MetricSeries(key="loss", steps=[1], times_us=[1], values=[1.0])
    request = metric_service_pb2.AppendMetricsRequest(
        **{"run": RUN, "writer": "w", "sequence": 10**6, "series": [series], **fields}
    )
    return lambda everyone: everyone.ada.metrics.AppendMetrics(request)


def resolve(**fields: Any) -> Callable[[Everyone], Any]:
    request = serving_service_pb2.ResolveVersionRequest(**{"model": MODEL, **fields})
    return lambda everyone: everyone.max.serving.ResolveVersion(request)


def create_run(**fields: Any) -> Callable[[Everyone], Any]:
    request = run_service_pb2.CreateRunRequest(**{"parent": EXPERIMENT, **fields})
    return lambda everyone: everyone.ada.runs.CreateRun(request)


def update_run(mask: str, **fields: Any) -> Callable[[Everyone], Any]:
    request = run_service_pb2.UpdateRunRequest(run=run_pb2.Run(name=RUN, **fields))
    request.update_mask.paths.append(mask)
    return lambda everyone: everyone.ada.runs.UpdateRun(request)


def log_batch(**fields: Any) -> Callable[[Everyone], Any]:
    request = run_service_pb2.LogBatchRequest(run=RUN, **fields)
    return lambda everyone: everyone.ada.runs.LogBatch(request)


def ledger(**fields: Any) -> Callable[[Everyone], Any]:
    request = lineage_service_pb2.ListLedgerEntriesRequest(
        **{"parent": "workspaces/main", **fields}
    )
    return lambda everyone: everyone.max.lineage.ListLedgerEntries(request)


def create_experiment(name: str, parent: str = "workspaces/main") -> Callable[[Everyone], Any]:
    request = experiment_service_pb2.CreateExperimentRequest(parent=parent, experiment_id=name)
    return lambda everyone: everyone.ada.experiments.CreateExperiment(request)


def param(text: str) -> run_pb2.Param:
    return run_pb2.Param(key=text[:300], value=run_pb2.ParamValue(string_value=text))


BAD = "INVALID_ARGUMENT"
MISSING = "NOT_FOUND"
CASES = {
    "empty name": Case(get_run(""), BAD, "FIELD_REQUIRED", "name"),
    "name of another collection": Case(get_run(MODEL), BAD, "RESOURCE_NAME_INVALID", "name"),
    "name with a slash at the end": Case(get_run(RUN + "/"), BAD, "RESOURCE_NAME_INVALID", "name"),
    "name that climbs": Case(
        get_run(f"{EXPERIMENT}/runs/.."), BAD, "RESOURCE_NAME_INVALID", "name"
    ),
    "name in capitals": Case(
        get_run(f"{EXPERIMENT}/runs/R1"), BAD, "RESOURCE_NAME_INVALID", "name"
    ),
    "run that does not exist": Case(get_run(f"{EXPERIMENT}/runs/r2"), MISSING, "NOT_FOUND"),
    "experiment that does not exist": Case(
        create_run(parent="workspaces/main/experiments/none"), MISSING, "NOT_FOUND"
    ),
    "id with spaces": Case(create_experiment("a b"), BAD, "FIELD_INVALID", "experiment_id"),
    "id of 10 000 letters": Case(
        create_experiment("a" * 10_000), BAD, "FIELD_INVALID", "experiment_id"
    ),
    "experiment that exists": Case(
        create_experiment("bad-input"), "ALREADY_EXISTS", "ALREADY_EXISTS"
    ),
    "run that exists": Case(create_run(run_id="r1"), "ALREADY_EXISTS", "ALREADY_EXISTS"),
    "request id that is no UUID": Case(
        create_run(request_id="again"), BAD, "FIELD_INVALID", "request_id"
    ),
    "unknown field in a filter": Case(
        list_runs(filter="colour = 1"), BAD, "FILTER_INVALID", "filter"
    ),
    "filter that does not parse": Case(
        list_runs(filter="state = "), BAD, "FILTER_INVALID", "filter"
    ),
    "filter of the wrong type": Case(
        list_runs(filter='create_time > "tomorrow"'), BAD, "FILTER_INVALID", "filter"
    ),
    "filter nested ten thousand times": Case(
        list_runs(filter="(" * 10_000), BAD, "FILTER_INVALID", "filter"
    ),
    "SQL in a filter": Case(
        list_runs(filter="name = 'x'; DROP TABLE runs"), BAD, "FILTER_INVALID", "filter"
    ),
    "order by an unknown field": Case(
        list_runs(order_by="colour desc"), BAD, "ORDER_BY_INVALID", "order_by"
    ),
    "negative page size": Case(list_runs(page_size=-1), BAD, "FIELD_INVALID", "page_size"),
    "page token that was made up": Case(
        list_runs(page_token="abc"), BAD, "PAGE_TOKEN_INVALID", "page_token"
    ),
    "update of a field that cannot change": Case(
        update_run("creator"), BAD, "UPDATE_MASK_INVALID", "update_mask"
    ),
    "etag of another state": Case(
        update_run("description", etag="old"), "ABORTED", "ETAG_MISMATCH"
    ),
    "parameter that is set to something else": Case(
        log_batch(params=[run_pb2.Param(key="seed", value=run_pb2.ParamValue(int_value=9))]),
        BAD,
        "FIELD_INVALID",
        "params[seed]",
    ),
    "parameter without a value": Case(
        log_batch(params=[run_pb2.Param(key="x")]), BAD, "FIELD_REQUIRED", "params[0].value"
    ),
    "parameter of 10 000 characters": Case(
        log_batch(params=[param("x" * 10_000)]), BAD, "FIELD_INVALID", "params[0].key"
    ),
    "dataset that is not registered": Case(
        log_batch(
            dataset_inputs=[
                run_pb2.DatasetInput(
                    dataset="workspaces/main/datasets/d/versions/v", role="training"
                )
            ]
        ),
        MISSING,
        "NOT_FOUND",
    ),
    "columns of different lengths": Case(
        append(series=[metric_pb2.MetricSeries(key="k", steps=[1, 2], times_us=[1], values=[1])]),
        BAD,
        "FIELD_INVALID",
        "series[0].steps",
    ),
    "sequence of zero": Case(append(sequence=0), BAD, "FIELD_INVALID", "sequence"),
    "batch without a writer": Case(append(writer=""), BAD, "FIELD_REQUIRED", "writer"),
    "more points than a batch may have": Case(
        append(
            series=[
                metric_pb2.MetricSeries(
                    key="k", steps=[0] * 100_001, times_us=[0] * 100_001, values=[0] * 100_001
                )
            ]
        ),
        BAD,
        "FIELD_INVALID",
        "series",
    ),
    "artifact with a wrong digest": Case(
        upload(b"other bytes", digest=story.digest_of(b"these bytes")),
        BAD,
        "DIGEST_MISMATCH",
        "header.digest",
    ),
    "digest that is none": Case(
        upload(b"bytes", digest="md5:0"), BAD, "FIELD_INVALID", "header.digest"
    ),
    "upload that stops half way": Case(
        upload(b"half", size=100, digest=story.digest_of(b"whole")),
        "ABORTED",
        "UPLOAD_INCOMPLETE",
    ),
    "upload of more than was announced": Case(
        upload(b"too many bytes", size=3), BAD, "FIELD_INVALID", "header.size_bytes"
    ),
    "upload that begins beyond what is there": Case(
        upload(b"some bytes", offset=5), "OUT_OF_RANGE", "OFFSET_OUT_OF_RANGE"
    ),
    "artifact name that climbs": Case(
        create_artifact("../../etc/passwd"), BAD, "ARTIFACT_PATH_INVALID", "artifacts[0].path"
    ),
    "artifact name that is absolute": Case(
        create_artifact("/etc/passwd"), BAD, "ARTIFACT_PATH_INVALID", "artifacts[0].path"
    ),
    "artifact name with a control character": Case(
        create_artifact("a\nb"), BAD, "ARTIFACT_PATH_INVALID", "artifacts[0].path"
    ),
    "artifact without its bytes": Case(
        create_artifact("new.bin", story.digest_of(b"never sent")),
        "FAILED_PRECONDITION",
        "BLOB_MISSING",
    ),
    "artifact under a name that is taken": Case(
        create_artifact("model/model.bin"), "ALREADY_EXISTS", "ALREADY_EXISTS"
    ),
    "version that is not SemVer": Case(
        register(version_id="1.0"), BAD, "VERSION_INVALID", "version_id"
    ),
    "version with build metadata": Case(
        register(version_id="1.0.0+build"), BAD, "VERSION_INVALID", "version_id"
    ),
    "duplicate version": Case(register(version_id="1.0.0"), "ALREADY_EXISTS", "VERSION_EXISTS"),
    "version of a run that does not exist": Case(
        register(source_run=f"{EXPERIMENT}/runs/none"), MISSING, "NOT_FOUND"
    ),
    "version of files that do not exist": Case(
        register(artifact_paths=["weights"]), "FAILED_PRECONDITION", "FILES_MISSING"
    ),
    "version of no files": Case(
        register(artifact_paths=[]), BAD, "FIELD_REQUIRED", "artifact_paths"
    ),
    "version of a run elsewhere": Case(
        register(source_run="workspaces/other/experiments/e/runs/r"),
        BAD,
        "FIELD_INVALID",
        "source_run",
    ),
    "version of a model that does not exist": Case(
        register(parent="workspaces/main/models/none"), MISSING, "NOT_FOUND"
    ),
    "promotion of a version that does not exist": Case(
        transition(name=f"{MODEL}/versions/9.9.9"), MISSING, "NOT_FOUND"
    ),
    "promotion of what is no version": Case(
        transition(name=f"{MODEL}/versions/latest"), BAD, "VERSION_INVALID", "name"
    ),
    "promotion to no stage": Case(transition(to_stage=0), BAD, "FIELD_REQUIRED", "to_stage"),
    "promotion to a stage that does not exist": Case(
        transition(to_stage=99), BAD, "FIELD_INVALID", "to_stage"
    ),
    "promotion over something unexpected": Case(
        transition(expected_production=f"{MODEL}/versions/7.7.7"), "ABORTED", "PRODUCTION_CHANGED"
    ),
    "promotion with an old etag": Case(transition(etag="old"), "ABORTED", "ETAG_MISMATCH"),
    "rollback without a past": Case(
        lambda everyone: everyone.release.promotions.Rollback(
            promotion_service_pb2.RollbackRequest(name=MODEL)
        ),
        "FAILED_PRECONDITION",
        "NOTHING_TO_ROLL_BACK",
    ),
    "nothing in Production": Case(resolve(), MISSING, "STAGE_EMPTY"),
    "resolving a stage that does not exist": Case(resolve(stage=99), BAD, "FIELD_INVALID", "stage"),
    "resolving in the future": Case(resolve(at={"seconds": 2**33}), BAD, "FIELD_INVALID", "at"),
    "fetching a file that is not there": Case(
        lambda everyone: list(
            everyone.ada.serving.FetchArtifacts(
                serving_service_pb2.FetchArtifactsRequest(version=VERSION, paths=["none"])
            )
        ),
        MISSING,
        "NOT_FOUND",
    ),
    "fetching beyond the end": Case(
        lambda everyone: list(
            everyone.ada.serving.FetchArtifacts(
                serving_service_pb2.FetchArtifactsRequest(
                    version=VERSION, paths=["model.bin"], read_offset=10**9
                )
            )
        ),
        "OUT_OF_RANGE",
        "OFFSET_OUT_OF_RANGE",
    ),
    "downloading beyond the end": Case(
        lambda everyone: list(
            everyone.ada.artifacts.Download(
                artifact_service_pb2.DownloadRequest(
                    run=RUN, path="model/model.bin", read_offset=10**9
                )
            )
        ),
        "OUT_OF_RANGE",
        "OFFSET_OUT_OF_RANGE",
    ),
    "deleting a model that has versions": Case(
        lambda everyone: everyone.grace.models.DeleteModel(
            model_service_pb2.DeleteModelRequest(name=MODEL)
        ),
        "PERMISSION_DENIED",
        "PERMISSION_MISSING",
    ),
    "ledger without the right": Case(
        lambda everyone: everyone.ada.lineage.ListLedgerEntries(
            lineage_service_pb2.ListLedgerEntriesRequest(parent="workspaces/main")
        ),
        "PERMISSION_DENIED",
        "PERMISSION_MISSING",
    ),
    "ledger by an unknown field": Case(ledger(filter="hash = 1"), BAD, "FILTER_INVALID", "filter"),
    "message above the limit": Case(
        update_run("description", description="x" * (5 * MIB)),
        "RESOURCE_EXHAUSTED",
        "MESSAGE_TOO_LARGE",
    ),
}
