"""DatasetService, as its contract promises."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from studbook.tracking.v1 import dataset_service_pb2, run_service_pb2
from tests.store.tracking.at_work import WORKSPACE, caller, reason, sha256
from tracking_service.store.tracking_store import TrackingStore

if TYPE_CHECKING:
    from tests.store.tracking.at_work import Tracking

# Nested messages are written as dicts, which the stubs' annotations do not know of.
pb: Any = dataset_service_pb2

WINE_DATA = f"{WORKSPACE}/datasets/wine"


REFERRED: dict[str, Any] = {
    "format": "reference/v1",
    "reference": {"system": "lakefs", "uri": "lakefs://wine/main/red", "version": "8f14e45f"},
}


def column(name: str = "alcohol", **profile: Any) -> dict[str, Any]:
    return {"name": name, "type": "double", "profile": profile}


def listed(tracking: Tracking, parent: str = WINE_DATA, by: Any = None, **values: Any) -> list[str]:
    request = pb.ListDatasetsRequest(parent=parent, **values)
    page = tracking.call("ListDatasets", request, by or caller())
    return ["@".join(dataset.name.split("/")[3::2]) for dataset in page.datasets]


def test_what_is_registered_can_be_read(tracking: Tracking) -> None:
    made = tracking.dataset(
        version_id="2026-03",
        source="s3://bucket/wine.csv",
        columns=[{"name": "alcohol", "type": "double", "null_count": 3}],
        row_count=178,
        size_bytes=4711,
    )

    read = tracking.call("GetDataset", pb.GetDatasetRequest(name=made.name)).dataset

    assert read == made
    assert made.name == f"{WINE_DATA}/versions/2026-03"
    assert made.digest == sha256(b"wine")
    assert made.columns[0].null_count == 3
    assert made.creator.id == "user:dev:ada"


def test_the_digest_names_a_version_without_an_id(tracking: Tracking) -> None:
    digits = sha256(b"wine").removeprefix("sha256:")[:12]

    assert tracking.dataset().name == f"{WINE_DATA}/versions/{digits}"


def test_the_same_digest_is_one_version(tracking: Tracking) -> None:
    first = tracking.dataset(version_id="one", source="here")

    assert tracking.dataset(version_id="two", source="there") == first
    assert tracking.dataset() == first
    assert listed(tracking) == ["wine@one"]
    # Another dataset may hold the same bytes.
    assert tracking.dataset("copy").name != first.name


def test_a_version_id_is_taken_once(tracking: Tracking) -> None:
    tracking.dataset(version_id="one")

    assert reason(lambda: tracking.dataset(data=b"new", version_id="one")) == "ALREADY_EXISTS"


def test_registering_at_once_makes_one_version(tracking: Tracking) -> None:
    made = []
    threads = [
        threading.Thread(target=lambda: made.append(tracking.dataset().uid)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 6
    (dataset,) = tracking.call("ListDatasets", pb.ListDatasetsRequest(parent=WINE_DATA)).datasets
    assert set(made) == {dataset.uid}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"digest": "md5:1"}, "FIELD_INVALID"),
        ({"digest": ""}, "FIELD_REQUIRED"),
        ({"format": ""}, "FIELD_REQUIRED"),
        ({"source": "s" * 2049}, "FIELD_INVALID"),
        ({"row_count": -2}, "FIELD_INVALID"),
        ({"size_bytes": -1}, "FIELD_INVALID"),
        ({"columns": [{"name": "c" * 257, "type": "int64"}]}, "FIELD_INVALID"),
        ({"columns": [{"name": "c"}]}, "FIELD_REQUIRED"),
        ({"version_id": "A"}, "FIELD_INVALID"),
        ({"columns": [{"name": "c", "type": "t"}] * 10_001}, "FIELD_INVALID"),
        ({"columns": [column(distinct_sketch=bytes(4096))]}, "FIELD_INVALID"),
        ({"columns": [column(distinct_estimate=-1)]}, "FIELD_INVALID"),
        ({"columns": [column(distinct_estimate=float("nan"))]}, "FIELD_INVALID"),
        ({"columns": [column(nan_count=-1)]}, "FIELD_INVALID"),
        ({"columns": [column(numbers={"finite_count": -1})]}, "FIELD_INVALID"),
        ({"columns": [column(numbers={"quantiles": [0.5] * 8})]}, "FIELD_INVALID"),
        ({"columns": [column(numbers={"quantiles": [0.5] * 3})]}, "FIELD_INVALID"),
        ({"columns": [column(numbers={"quantiles": [float("nan")] * 7})]}, "FIELD_INVALID"),
        ({"columns": [column(numbers={"mean": float("nan")})]}, "FIELD_INVALID"),
        ({"columns": [column(numbers={"standard_deviation": -1})]}, "FIELD_INVALID"),
        ({"row_count": 3, "columns": [column(numbers={"finite_count": 4})]}, "FIELD_INVALID"),
        ({"row_count": 3, "columns": [column(nan_count=4)]}, "FIELD_INVALID"),
        ({"row_count": 3, "columns": [column() | {"null_count": 4}]}, "FIELD_INVALID"),
        ({"columns": [column() | {"null_count": -1}]}, "FIELD_INVALID"),
        ({"columns": [column(texts={"min_length": -1})]}, "FIELD_INVALID"),
        ({"columns": [column(top_values=[{"value": "v", "count": 1}] * 11)]}, "FIELD_INVALID"),
        ({"columns": [column(top_values=[{"value": "v" * 65}])]}, "FIELD_INVALID"),
        ({"columns": [column(top_values=[{"value": "v\0"}])]}, "FIELD_INVALID"),
        ({"columns": [column(top_values=[{"value": "v", "count": -1}])]}, "FIELD_INVALID"),
        ({"format": "reference/v1"}, "FIELD_REQUIRED"),
        ({"reference": {"system": "dvc", "uri": "u", "version": "v"}}, "FIELD_INVALID"),
        ({"format": "reference/v1", "reference": {"uri": "u"}}, "FIELD_REQUIRED"),
        ({**REFERRED, "reference": REFERRED["reference"] | {"system": "s" * 65}}, "FIELD_INVALID"),
        ({**REFERRED, "reference": REFERRED["reference"] | {"uri": "u" * 2049}}, "FIELD_INVALID"),
        ({**REFERRED, "reference": REFERRED["reference"] | {"version": ""}}, "FIELD_REQUIRED"),
    ],
)
def test_bad_input(tracking: Tracking, values: dict[str, Any], expected: str) -> None:
    assert reason(lambda: tracking.dataset(**values)) == expected
    assert listed(tracking) == []


def test_a_reference_is_kept(tracking: Tracking) -> None:
    made = tracking.dataset(**REFERRED)

    assert made.reference.version == "8f14e45f"
    assert tracking.call("GetDataset", pb.GetDatasetRequest(name=made.name)).dataset == made
    assert not tracking.dataset("plain").HasField("reference")


def test_profiles_are_read_with_one_dataset_and_left_out_of_lists(tracking: Tracking) -> None:
    sketch = bytes(range(256)) * 12
    made = tracking.dataset(
        columns=[
            column(distinct_estimate=9.5, numbers={"min": -1.0, "quantiles": [0.5] * 7}),
            {"name": "notes", "type": "string"},
            column("colour", distinct_sketch=sketch, top_values=[{"value": "red", "count": 7}]),
        ]
    )

    read = tracking.call("GetDataset", pb.GetDatasetRequest(name=made.name)).dataset
    (shown,) = tracking.call("ListDatasets", pb.ListDatasetsRequest(parent=WINE_DATA)).datasets

    assert read == made
    assert [c.HasField("profile") for c in read.columns] == [True, False, True]
    assert read.columns[0].profile.numbers.min == -1.0
    assert read.columns[2].profile.distinct_sketch == sketch
    assert [c.name for c in shown.columns] == ["alcohol", "notes", "colour"]
    assert not any(c.HasField("profile") for c in shown.columns)


def test_a_profile_that_comes_later_is_added_once(tracking: Tracking) -> None:
    plain = {"name": "alcohol", "type": "double"}
    first = tracking.dataset(columns=[plain])
    assert not first.columns[0].HasField("profile")

    later = tracking.dataset(columns=[column(distinct_estimate=3)])
    assert later.name == first.name
    assert later.columns[0].profile.distinct_estimate == 3

    assert tracking.dataset(columns=[column(distinct_estimate=4)]) == later
    assert tracking.dataset(columns=[plain]) == later


def test_a_profile_of_other_columns_is_not_added(tracking: Tracking) -> None:
    tracking.dataset(columns=[{"name": "alcohol", "type": "double"}])

    again = tracking.dataset(columns=[column("sugar", distinct_estimate=3)])

    assert [c.name for c in again.columns] == ["alcohol"]
    assert not again.columns[0].HasField("profile")


def test_validate_only_registers_nothing(tracking: Tracking) -> None:
    request = pb.RegisterDatasetRequest(
        parent=WINE_DATA,
        dataset={"digest": sha256(b"x"), "format": "file/v1"},
        validate_only=True,
    )

    assert tracking.call("RegisterDataset", request).dataset.uid
    assert listed(tracking) == []


def test_lists(tracking: Tracking) -> None:
    tracking.dataset("wine", b"1", version_id="a", row_count=10)
    tracking.dataset("beer", b"2", version_id="b", row_count=20)
    tracking.dataset("wine", b"3", version_id="c", row_count=30)
    everything = f"{WORKSPACE}/datasets/-"

    assert listed(tracking) == ["wine@c", "wine@a"]
    assert listed(tracking, everything) == ["wine@c", "beer@b", "wine@a"]
    assert listed(tracking, everything, filter="row_count > 10", order_by="name") == [
        "beer@b",
        "wine@c",
    ]
    assert listed(tracking, everything, filter=f'digest = "{sha256(b"1")}"') == ["wine@a"]
    assert listed(tracking, everything, caller(pattern=f"{WORKSPACE}/datasets/beer/**")) == [
        "beer@b"
    ]


def test_uses_leave_out_deleted_and_unreadable_runs(tracking: Tracking) -> None:
    data = tracking.dataset()
    for name, roles in (("a", ["training", "test"]), ("b", ["training"]), ("c", ["training"])):
        run = tracking.run(name).name
        inputs = [{"dataset": data.name, "role": role} for role in roles]
        tracking.log(run, dataset_inputs=inputs)
    tracking.delete(run)

    def uses(by: Any, **values: Any) -> list[tuple[str, str]]:
        request = pb.ListDatasetRunsRequest(name=data.name, **values)
        found = []
        while True:
            page = tracking.call("ListDatasetRuns", request, by)
            found += [(use.run[-1], use.role) for use in page.uses]
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    everything = [("b", "training"), ("a", "training"), ("a", "test")]
    assert uses(caller()) == everything
    assert uses(caller(), page_size=1) == everything
    assert uses(caller(runs_read=f"{WORKSPACE}/experiments/wine/runs/b")) == [("b", "training")]
    missing = pb.ListDatasetRunsRequest(name=f"{WINE_DATA}/versions/none")
    assert reason(lambda: tracking.call("ListDatasetRuns", missing)) == "NOT_FOUND"


def test_a_dataset_of_a_held_run_is_held(tracking: Tracking) -> None:
    data = tracking.dataset()
    run = tracking.run().name
    tracking.log(run, dataset_inputs=[{"dataset": data.name, "role": "training"}])

    def holder() -> str | None:
        def find(connection: Any) -> str | None:
            store = TrackingStore(connection)
            dataset = store.datasets.find(data.name)
            assert dataset is not None
            return store.datasets.holder(dataset.key)

        return tracking.database.read_now(find)

    tracking.hold(run, run_service_pb2.HOLD_LEVEL_FILES)
    assert holder() is None
    tracking.hold(run, run_service_pb2.HOLD_LEVEL_RUN)
    assert holder() == f"{WORKSPACE}/models/wine-cultivar/versions/1.0.0"
