"""Update masks and etags."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from service_chassis.errors import StudbookError
from service_chassis.etags import check_etag, etag_of
from service_chassis.field_masks import changed_paths
from studbook.tracking.v1.run_pb2 import Run

ALLOWED = frozenset({"description", "display_name", "tags"})


def test_without_a_mask_the_fields_that_are_set_change() -> None:
    run = Run(name="workspaces/m/experiments/e/runs/r", description="x", tags={"a": "b"}, uid="1")
    assert changed_paths(FieldMask(), run, ALLOWED) == {"description", "tags"}
    assert changed_paths(FieldMask(), Run(), ALLOWED) == set()


def test_a_mask_can_clear_fields() -> None:
    assert changed_paths(FieldMask(paths=["tags"]), Run(description="x"), ALLOWED) == {"tags"}
    assert changed_paths(FieldMask(paths=["*"]), Run(), ALLOWED) == ALLOWED


@pytest.mark.parametrize("path", ["colour", "name", "tags.a", "", "create_time"])
def test_a_mask_names_only_what_can_change(path: str) -> None:
    with pytest.raises(StudbookError) as caught:
        changed_paths(FieldMask(paths=["tags", path]), Run(), ALLOWED)
    assert caught.value.reason == "UPDATE_MASK_INVALID"
    assert caught.value.metadata["path"] == path


def test_etags_differ_with_every_part() -> None:
    etags = {etag_of("a", "bc"), etag_of("ab", "c"), etag_of("a", "bc", None), etag_of("a", 1)}
    assert len(etags) == 4
    assert etag_of("a", 1) in etags


def test_an_old_etag_is_refused_and_none_is_not() -> None:
    check_etag("", "new", "runs/r")
    check_etag("new", "new", "runs/r")
    with pytest.raises(StudbookError) as caught:
        check_etag("old", "new", "runs/r")
    assert caught.value.reason == "ETAG_MISMATCH"
    assert caught.value.metadata == {"resource": "runs/r", "etag": "new"}
