from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_chassis.errors import StudbookError
from service_chassis.resource_names import DATASET, MODEL_VERSION, RUN, WORKSPACE, check_id

ids = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,127}", fullmatch=True)


@given(ids, ids, ids)
def test_names_survive_being_written_and_read(workspace: str, experiment: str, run: str) -> None:
    parts = {"workspace": workspace, "experiment": experiment, "run": run}
    assert RUN.parse(RUN.format(**parts)) == parts
    assert RUN.matches(RUN.format(**parts))


@pytest.mark.parametrize(
    "value",
    [
        "workspaces/main",
        "workspaces/main/experiments/wine/runs/",
        "workspaces/main/experiments/wine/runs/r1/",
        "/workspaces/main/experiments/wine/runs/r1",
        "workspaces/main/experiments/../runs/r1",
        "workspaces/main/experiments/wine/runs/R1",
        "workspaces/main/experiments/wine/models/r1",
        "workspaces/main/experiments/-/runs/r1",
        "workspaces/main/experiments/wine/runs/r1\n",
        "workspaces/main/experiments/wine/runs/" + "r" * 129,
    ],
)
def test_other_forms_are_refused_with_the_pattern(value: str) -> None:
    with pytest.raises(StudbookError) as caught:
        RUN.parse(value, "run")
    assert caught.value.reason == "RESOURCE_NAME_INVALID"
    assert caught.value.metadata["field"] == "run"
    assert caught.value.metadata["pattern"] == RUN.template
    assert not RUN.matches(value)


def test_an_empty_name_is_missing() -> None:
    with pytest.raises(StudbookError) as caught:
        WORKSPACE.parse("", "parent")
    assert caught.value.reason == "FIELD_REQUIRED"


def test_a_dash_stands_for_all_only_where_allowed() -> None:
    parent = "workspaces/main/datasets/-"
    assert DATASET.parse(parent, "parent", any_of=("dataset",))["dataset"] == "-"
    with pytest.raises(StudbookError):
        DATASET.parse("workspaces/-/datasets/wine", "parent", any_of=("dataset",))


def test_version_numbers_are_left_to_the_registry() -> None:
    name = "workspaces/main/models/wine/versions/1.2.0-RC.1+build"
    assert MODEL_VERSION.parse(name)["version"] == "1.2.0-RC.1+build"


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("", "FIELD_REQUIRED"),
        ("-a", "FIELD_INVALID"),
        ("a b", "FIELD_INVALID"),
        ("é", "FIELD_INVALID"),
    ],
)
def test_ids_are_checked(value: str, reason: str) -> None:
    with pytest.raises(StudbookError) as caught:
        check_id(value, "run_id")
    assert caught.value.reason == reason
