"""What people write for the parents of a version."""

from __future__ import annotations

import pytest

from studbook.exceptions import InvalidArgument
from studbook.version_parents import check_parent, read_parent

WORKSPACE = "workspaces/main"
DIGEST = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("wine@1.2.0", "workspaces/main/models/wine/versions/1.2.0"),
        ("wine@v1.2.0", "workspaces/main/models/wine/versions/1.2.0"),
        ("workspaces/o/models/wine@1.2.0", "workspaces/o/models/wine/versions/1.2.0"),
        ("workspaces/o/models/wine/versions/1.2.0", "workspaces/o/models/wine/versions/1.2.0"),
    ],
)
def test_version_by_its_number(text: str, version: str) -> None:
    check_parent(text)
    parent = read_parent(text, WORKSPACE)
    assert (parent.version, parent.uri, parent.digest) == (version, "", "")


@pytest.mark.parametrize(
    "uri", ["https://hub.example/org/base", "hf://org/base@main", "s3://bucket/key?version=1"]
)
def test_base_by_uri_and_digest(uri: str) -> None:
    check_parent(f"{uri}@{DIGEST}")
    parent = read_parent(f"{uri}@{DIGEST}", WORKSPACE)
    assert (parent.version, parent.uri, parent.digest) == ("", uri, DIGEST)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "wine",
        "wine@production",
        "wine@one",
        "https://hub.example/org/base",
        "https://hub.example/org/base@main",
        "https://hub.example/org base@" + DIGEST,
        "https://hub.example/org/base@sha256:12",
        DIGEST,
    ],
)
def test_anything_else_is_refused(text: str) -> None:
    for read in (check_parent, lambda given: read_parent(given, WORKSPACE)):
        with pytest.raises(InvalidArgument):
            read(text)
