"""Choosing a version's files from those of its run."""

from __future__ import annotations

import hashlib

import pytest

from registry_service.file_selection import digest_files, select_files
from registry_service.records import File
from service_chassis.errors import StudbookError

RUN = "workspaces/main/experiments/wine/runs/r1"


def files(*paths: str) -> list[File]:
    return [File(path, hashlib.sha256(path.encode()).hexdigest(), 1, "") for path in paths]


def chosen(available: list[File], *paths: str) -> list[str]:
    return [file.path for file in select_files(RUN, available, paths)]


def test_a_file_keeps_its_path_and_a_folder_gives_up_its_own() -> None:
    available = files("out/model/a", "out/model/deep/b", "out/model.txt", "other")
    assert chosen(available, "out/model/a") == ["out/model/a"]
    assert chosen(available, "out/model") == ["a", "deep/b"]
    assert chosen(available, "out", "other") == ["model.txt", "model/a", "model/deep/b", "other"]


def test_a_path_that_is_neither_is_named() -> None:
    with pytest.raises(StudbookError) as caught:
        chosen(files("model.txt"), "model.txt", "model")
    assert caught.value.reason == "FILES_MISSING"
    assert caught.value.metadata == {"resource": RUN, "path": "model"}


def test_two_different_files_cannot_have_one_path() -> None:
    available = files("a/model", "b/model")
    with pytest.raises(StudbookError) as caught:
        chosen(available, "a", "b")
    assert caught.value.metadata["field"] == "artifact_paths[1]"
    assert chosen(available, "a", "a") == ["model"]


def test_the_digest_is_that_of_a_list_as_sha256sum_prints_it() -> None:
    one, two = files("a", "b c")
    text = f"{one.digest}  a\n{two.digest}  b c\n"
    assert digest_files([one, two]) == hashlib.sha256(text.encode()).hexdigest()
