from __future__ import annotations

import os
from contextlib import nullcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_chassis.errors import StudbookError
from service_chassis.validation import (
    check_artifact_path,
    check_count,
    check_digest,
    check_not_negative,
    check_request_id,
    check_tags,
    check_text,
)

HEX = "0123456789abcdef" * 4


def test_texts_are_measured_in_characters() -> None:
    assert check_text("é" * 256, "run.display_name", 256) == "é" * 256
    with pytest.raises(StudbookError, match=r"run\.display_name .* at most 256 characters"):
        check_text("é" * 257, "run.display_name", 256)
    with pytest.raises(StudbookError, match="NUL"):
        check_text("a\0b", "run.display_name", 256)
    with pytest.raises(StudbookError) as caught:
        check_text("", "reason", 256, required=True)
    assert caught.value.reason == "FIELD_REQUIRED"


def test_counts_have_two_ends() -> None:
    check_count([1, 2], "runs", 100, least=2)
    for count in (1, 101):
        with pytest.raises(StudbookError, match="give 2 to 100 entries"):
            check_count([0] * count, "runs", 100, least=2)
    with pytest.raises(StudbookError) as caught:
        check_count([], "runs", 100, least=2)
    assert caught.value.reason == "FIELD_REQUIRED"


@pytest.mark.parametrize(
    "tags",
    [
        {"": "x"},
        {"k" * 129: "x"},
        {"k": "v" * 1025},
        {"k": "a\0"},
        {str(number): "" for number in range(65)},
    ],
)
def test_tags_have_limits(tags: dict[str, str]) -> None:
    with pytest.raises(StudbookError) as caught:
        check_tags(tags, "run.tags")
    assert caught.value.reason == "FIELD_INVALID"
    assert caught.value.metadata["field"].startswith("run.tags")


def test_tags_up_to_the_limits_pass() -> None:
    tags = {str(number).zfill(128): "v" * 1024 for number in range(64)}
    assert check_tags(tags, "run.tags") == tags


def test_digests_become_their_digits() -> None:
    assert check_digest(f"sha256:{HEX}", "digest") == HEX
    for value in (HEX, f"sha256:{HEX.upper()}", f"sha256:{HEX}0", f"md5:{HEX}", f"sha256:{HEX}\n"):
        with pytest.raises(StudbookError, match="64 hexadecimal digits in lower case"):
            check_digest(value, "digest")


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "..",
        "../model.pkl",
        "model/../../x",
        "model/..",
        "./model",
        "a//b",
        "a/",
        "a\\b",
        "a\nb",
        "a\0b",
        "a\x7fb",
        "a\N{LINE SEPARATOR}b",
        "é" * 513,
        "a/" + "é" * 128,
        f"a/.studbook-{'0' * 64}.part",
        ".studbook-0.part/b",
    ],
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    with pytest.raises(StudbookError) as caught:
        check_artifact_path(path, "artifacts.path")
    assert caught.value.reason == "ARTIFACT_PATH_INVALID"


parts = st.sampled_from(["a", "b.c", "...", ".hidden", " ", "é", "..", ".", "", "a\\b"])


@given(st.lists(parts, min_size=1, max_size=5).map("/".join))
def test_exactly_the_paths_that_stay_below_their_folder_are_accepted(path: str) -> None:
    stays = os.path.normpath(f"/store/{path}") == f"/store/{path}" and "\\" not in path
    with nullcontext() if stays and path else pytest.raises(StudbookError):
        assert check_artifact_path(path, "path") == path


def test_request_ids_are_uuids_or_empty() -> None:
    assert check_request_id("") == ""
    upper = "6F1C1B1E-8D0A-4F5E-9A57-0D6F1F2B3C4D"
    assert check_request_id(upper) == upper.lower()
    for value in ("1", "6f1c1b1e8d0a4f5e9a570d6f1f2b3c4d", upper + "\n"):
        with pytest.raises(StudbookError, match="UUID"):
            check_request_id(value)


def test_sizes_are_not_negative() -> None:
    assert check_not_negative(0, "size_bytes") == 0
    with pytest.raises(StudbookError, match="size_bytes"):
        check_not_negative(-1, "size_bytes")
