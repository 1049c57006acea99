"""ComparisonService beside a tracking service that has profiles of datasets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from studbook.registry.v1 import comparison_pb2 as pb
from studbook.tracking.v1 import dataset_pb2
from tests.unit.registry_service.serving_registry import (
    GRACE,
    MODEL,
    PARENT,
    RUN,
    Registry,
    caller,
    refusal,
    with_registry,
)
from tests.unit.sdk.drifting_tables import profile_of

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = f"{MODEL}/versions/1.0.0", f"{MODEL}/versions/1.1.0"
READER = caller("reader", {"models.read": ("**",)})


def wine(seed: int, *, shift: float = 0.0, rows: int = 2000) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "alcohol": random.normal(13 + shift, 1, rows),
        "colour": random.choice(["red", "white"], rows),
        "cultivar": random.integers(0, 3, rows),
    }


def dataset_name(version: str) -> str:
    return f"{PARENT}/datasets/wine/versions/{version}"


def add_dataset(registry: Registry, version: str, table: dict[str, Any]) -> None:
    profile = profile_of(table)
    name = dataset_name(version)
    registry.tracking.datasets[name] = dataset_pb2.Dataset(
        name=name,
        digest=f"sha256:{version * 64}",
        row_count=profile.row_count,
        columns=profile.columns,
    )


async def add_version(registry: Registry, number: str, data: str, **params: int) -> None:
    """Register a version of a run that used a version of the dataset."""
    if number == "1.0.0":
        await registry.call("ModelService.CreateModel", parent=PARENT, model_id="wine-cultivar")
    run = f"{RUN}-{number.replace('.', '-')}"
    registry.add_run({"model/m.bin": number.encode()}, run)
    held = registry.tracking.runs[run]
    held.run.code.dirty = False
    (used,) = held.run.dataset_inputs
    used.dataset = dataset_name(data)
    used.digest = f"sha256:{data * 64}"
    del held.datasets[:]
    known = held.datasets.add()
    known.CopyFrom(registry.tracking.datasets[dataset_name(data)])
    for column in known.columns:
        column.ClearField("profile")
    for key, value in params.items():
        held.run.params.add(key=key).value.int_value = value
    await registry.register(number, source_run=run)


async def compare(registry: Registry, **fields: Any) -> Any:
    given = {"first": OLD, "second": NEW, **fields}
    return await registry.call("ComparisonService.CompareVersions", **given)


def test_drifted_data_is_the_verdict_with_the_columns_as_evidence(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        add_dataset(registry, "a", wine(1))
        add_dataset(registry, "b", wine(2, shift=0.5))
        await add_version(registry, "1.0.0", "a")
        await add_version(registry, "1.1.0", "b")
        answer = await compare(registry)
        assert answer.verdict == pb.VERSION_VERDICT_DATA_CHANGED
        assert list(answer.changed) == [pb.ASPECT_DATA]
        assert [compared.aspect for compared in answer.aspects] == [1, 2, 3, 4, 5, 6]
        (drift,) = answer.aspects[0].datasets
        assert (drift.role, drift.first) == ("training", dataset_name("a"))
        assert (drift.first_rows, drift.second_rows, drift.compared_columns) == (2000, 2000, 3)
        assert drift.drift == pb.DRIFT_DRIFTED
        (column,) = drift.columns
        assert (column.name, column.outcome) == ("alcohol", pb.COLUMN_OUTCOME_DRIFTED)
        assert column.first.mean == pytest.approx(13, abs=0.1)
        assert column.second.mean == pytest.approx(13.5, abs=0.1)
        measures = {measure.kind: measure for measure in column.measures}
        distance = measures[pb.DRIFT_MEASURE_KIND_QUANTILE_DISTANCE]
        assert distance.drifted
        assert distance.value == pytest.approx(0.2, abs=0.05)
        assert answer.summary == (
            "Data changed. Of the training data, with 3 columns in both, 1 drifted (alcohol)."
        )
        assert list(answer.missing) == []

        whole = await compare(registry, all_columns=True)
        names = [column.name for column in whole.aspects[0].datasets[0].columns]
        assert names == ["alcohol", "colour", "cultivar"]

    with_registry(tmp_path, test)


def test_other_rows_that_look_the_same_are_changed_data_without_drift(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        add_dataset(registry, "a", wine(1))
        add_dataset(registry, "b", wine(2))
        await add_version(registry, "1.0.0", "a", depth=3)
        await add_version(registry, "1.1.0", "b", depth=4)
        answer = await compare(registry)
        assert answer.verdict == pb.VERSION_VERDICT_SEVERAL_CHANGED
        assert list(answer.changed) == [pb.ASPECT_DATA, pb.ASPECT_PARAMETERS]
        assert answer.aspects[0].datasets[0].drift == pb.DRIFT_STEADY
        assert answer.summary == (
            "Data and parameters changed. No column of the training data drifted."
        )
        (item,) = answer.aspects[2].items
        assert (item.name, item.first, item.second) == ("depth", "3", "4")

    with_registry(tmp_path, test)


def test_the_same_digest_needs_no_profile_and_no_tracking_service(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        add_dataset(registry, "a", wine(1))
        await add_version(registry, "1.0.0", "a")
        await add_version(registry, "1.1.0", "a", depth=4)
        await registry.tracking_server.stop(None)
        answer = await compare(registry)
        assert answer.verdict == pb.VERSION_VERDICT_PARAMETERS_CHANGED
        assert list(answer.missing) == []
        itself = await compare(registry, second=OLD)
        assert itself.verdict == pb.VERSION_VERDICT_NOTHING_CHANGED

    with_registry(tmp_path, test)


def test_what_keeps_data_from_being_looked_at_is_said(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        add_dataset(registry, "a", wine(1))
        add_dataset(registry, "b", wine(2, shift=1))
        await add_version(registry, "1.0.0", "a")
        await add_version(registry, "1.1.0", "b")

        denied = await compare(registry, by=READER)
        assert denied.verdict == pb.VERSION_VERDICT_DATA_CHANGED
        assert denied.aspects[0].datasets[0].drift == pb.DRIFT_UNKNOWN
        assert "datasets.read" in denied.missing[0]
        assert not denied.aspects[0].datasets[0].columns

        for column in registry.tracking.datasets[dataset_name("b")].columns:
            column.ClearField("profile")
        bare = await compare(registry)
        assert bare.aspects[0].datasets[0].drift == pb.DRIFT_UNKNOWN
        (why,) = bare.missing
        assert why.startswith("Whether alcohol, colour, cultivar of the training data drifted: ")
        assert "no profile of it was recorded in the second table" in why

        del registry.tracking.datasets[dataset_name("b")]
        gone = await compare(registry)
        assert dataset_name("b") in gone.missing[0]

        await registry.tracking_server.stop(None)
        down = await compare(registry)
        assert down.verdict == pb.VERSION_VERDICT_DATA_CHANGED
        assert "does not answer" in down.missing[0]

    with_registry(tmp_path, test)


def test_both_versions_have_to_be_readable(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        add_dataset(registry, "a", wine(1))
        await add_version(registry, "1.0.0", "a")
        only_first = caller("half", {"models.read": (OLD,)})
        assert (await refusal(compare(registry, by=only_first)))[:2] == (
            "PERMISSION_DENIED",
            "PERMISSION_MISSING",
        )
        assert (await refusal(compare(registry)))[:2] == ("NOT_FOUND", "NOT_FOUND")
        reason = (await refusal(compare(registry, second=f"{MODEL}/versions/latest")))[1]
        assert reason == "VERSION_INVALID"

    with_registry(tmp_path, test)


async def check(registry: Registry, table: dict[str, Any], **fields: Any) -> Any:
    profile = profile_of(table)
    inputs = pb.InputProfile(row_count=profile.row_count, columns=profile.columns)
    given = {"version": OLD, "inputs": inputs, **fields}
    return await registry.call("ComparisonService.CompareInputs", **given)


def test_inputs_are_compared_with_the_training_data(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        add_dataset(registry, "a", wine(1))
        await add_version(registry, "1.0.0", "a")
        inputs = wine(3)
        del inputs["cultivar"]
        alike = await check(registry, inputs)
        assert alike.verdict == pb.INPUT_VERDICT_INPUT_AS_TRAINED
        assert alike.drift.drift == pb.DRIFT_STEADY
        assert [(column.name, column.outcome) for column in alike.drift.columns] == [
            ("cultivar", pb.COLUMN_OUTCOME_REMOVED)
        ]

        inputs["alcohol"] += 1
        drifted = await check(registry, inputs)
        assert drifted.verdict == pb.INPUT_VERDICT_INPUT_DRIFTED
        assert "alcohol" in drifted.summary
        assert drifted.drift.first == dataset_name("a")
        ignored = await check(registry, inputs, ignored_columns=["alcohol"])
        assert ignored.verdict == pb.INPUT_VERDICT_INPUT_AS_TRAINED

    with_registry(tmp_path, test)


def test_inputs_of_which_nothing_can_be_said(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        add_dataset(registry, "a", wine(1))
        await add_version(registry, "1.0.0", "a")
        few = await check(registry, wine(3, rows=20))
        assert few.verdict == pb.INPUT_VERDICT_UNKNOWN
        assert "20 rows tell too little" in few.missing[0]
        other = await check(registry, {"something": np.arange(500.0)})
        assert other.verdict == pb.INPUT_VERDICT_UNKNOWN
        assert "none of the columns" in other.missing[0]
        role = await check(registry, wine(3), role="validation")
        assert role.verdict == pb.INPUT_VERDICT_UNKNOWN
        assert "no dataset in the role validation" in role.missing[0]
        denied = await check(registry, wine(3), by=READER)
        assert denied.verdict == pb.INPUT_VERDICT_UNKNOWN
        assert "datasets.read" in denied.missing[0]
        assert not denied.HasField("drift")

    with_registry(tmp_path, test)


@pytest.mark.parametrize(
    ("change", "reason", "field"),
    [
        ({"columns": []}, "FIELD_REQUIRED", "inputs.columns"),
        ({"row_count": -1}, "FIELD_INVALID", "inputs.row_count"),
        (
            {"columns": [dataset_pb2.Column(name="c", type="int64", null_count=11)]},
            "FIELD_INVALID",
            "inputs.columns[0].null_count",
        ),
        ({"columns": [dataset_pb2.Column(name="c")]}, "FIELD_REQUIRED", "inputs.columns[0].type"),
        (
            {
                "columns": [
                    dataset_pb2.Column(
                        name="c",
                        type="int64",
                        profile=dataset_pb2.ColumnProfile(quantile_sketch=bytes(5000)),
                    )
                ]
            },
            "FIELD_INVALID",
            "inputs.columns[0].profile",
        ),
    ],
)
def test_profiles_that_cannot_be_right_are_refused(
    tmp_path: Path, change: dict[str, Any], reason: str, field: str
) -> None:
    async def test(registry: Registry) -> None:
        columns = [dataset_pb2.Column(name="c", type="int64")]
        whole: dict[str, Any] = {"row_count": 10, "columns": columns}
        inputs = pb.InputProfile(**(whole | change))
        call = registry.call("ComparisonService.CompareInputs", version=OLD, inputs=inputs)
        _, found, metadata = await refusal(call)
        assert found == reason
        assert metadata["field"] == field

    with_registry(tmp_path, test)


def test_forged_profiles_are_answered(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        add_dataset(registry, "a", wine(1))
        await add_version(registry, "1.0.0", "a")
        inputs = profile_of(wine(3))
        alcohol = inputs.columns[0].profile
        alcohol.quantile_sketch = alcohol.quantile_sketch[:-9] + b"\xff" * 9
        alcohol.numbers.min = float("nan")
        alcohol.distinct_estimate = float("-inf")
        for top in inputs.columns[2].profile.top_values:
            top.count = -(2**63)
        forged = pb.InputProfile(row_count=inputs.row_count, columns=inputs.columns)
        answer = await registry.call(
            "ComparisonService.CompareInputs", by=GRACE, version=OLD, inputs=forged
        )
        assert answer.verdict != pb.INPUT_VERDICT_INPUT_AS_TRAINED

    with_registry(tmp_path, test)


def test_absurd_counts_are_answered(tmp_path: Path) -> None:
    async def test(registry: Registry) -> None:
        add_dataset(registry, "a", wine(1))
        await add_version(registry, "1.0.0", "a")
        inputs = profile_of(wine(3))
        for column in inputs.columns:
            column.null_count = 2**61
            column.profile.top_value_error = 2**63 - 1
            column.profile.distinct_estimate = float("inf")
            for top in column.profile.top_values:
                top.count = 2**63 - 1
        forged = pb.InputProfile(row_count=2**63 - 1, columns=inputs.columns)
        answer = await registry.call("ComparisonService.CompareInputs", version=OLD, inputs=forged)
        assert answer.verdict == pb.INPUT_VERDICT_INPUT_DRIFTED

    with_registry(tmp_path, test)
