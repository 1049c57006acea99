"""How versions and stages are written."""

from __future__ import annotations

import pytest

from studbook.exceptions import InvalidArgument
from studbook.model_reference import Reference, parse_reference, parse_version

MAIN = "workspaces/main"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wine", Reference("wine", stage="production")),
        ("wine@production", Reference("wine", stage="production")),
        ("wine@Staging", Reference("wine", stage="staging")),
        ("wine@1.2.0", Reference("wine", version="1.2.0")),
        ("wine@v1.2.0-rc.1", Reference("wine", version="1.2.0-rc.1")),
        ("workspaces/lab/models/wine@1.2.0", Reference("wine", "lab", version="1.2.0")),
        ("workspaces/lab/models/wine/versions/1.2.0", Reference("wine", "lab", version="1.2.0")),
        (" wine ", Reference("wine", stage="production")),
        ("wine@champion", Reference("wine", alias="champion")),
        ("wine@blue.eu-1", Reference("wine", alias="blue.eu-1")),
        ("wine@~1.2", Reference("wine", range="~1.2")),
        ("wine@^1", Reference("wine", range="^1")),
        ("wine@1.2", Reference("wine", range="1.2")),
        ("wine@v1", Reference("wine", range="v1")),
        ("wine@1.x", Reference("wine", range="1.x")),
        ("wine@>=1.0 <2", Reference("wine", range=">=1.0 <2")),
        ("wine@>= 1.0, < 2", Reference("wine", range=">= 1.0, < 2")),
        ("wine@1.2.0-rc.1 - 1.4", Reference("wine", range="1.2.0-rc.1 - 1.4")),
        ("wine@~1.2 || ^3", Reference("wine", range="~1.2 || ^3")),
    ],
)
def test_references(text: str, expected: Reference) -> None:
    assert parse_reference(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", "@", "wine@", "wine@latest", "wine@*", "wine@x", "wine@Champion", "wine@01.2.0",
        "wine@1.2.0+build", "Wine",
        "wine@1.2.0@production", "wine@1 ||",
        "workspaces/lab/models/wine/versions/~1",
        "workspaces/lab/models/wine/versions/1.2.0@production",
        "a/b", "wine@" + "1" * 300, "wine@1.2.0\n",
    ],
)  # fmt: skip
def test_what_is_no_reference_is_refused(text: str) -> None:
    if text.endswith("\n"):
        assert parse_reference(text).version == "1.2.0"  # blanks around it are none of its parts
        return
    with pytest.raises(InvalidArgument) as caught:
        parse_reference(text)
    assert len(str(caught.value)) < 400


def test_a_reference_is_written_as_it_is_read() -> None:
    assert str(parse_reference("wine@1.2.0")) == "wine@1.2.0"
    assert str(parse_reference("wine")) == "wine@production"
    assert str(parse_reference("wine@champion")) == "wine@champion"
    assert str(parse_reference("wine@~1.2")) == "wine@~1.2"
    assert parse_reference("wine").model_name(MAIN) == "workspaces/main/models/wine"


@pytest.mark.parametrize("part", ["patch", "minor", "major"])
def test_the_next_number_can_be_asked_for(part: str) -> None:
    wanted = parse_version("wine", f"next-{part}")
    assert wanted == Reference("wine", version=f"next-{part}")


@pytest.mark.parametrize(
    ("model", "version"),
    [
        (None, "1.0.0"),
        ("wine", None),
        ("wine", "production"),
        ("wine", ""),
        ("", "1.0.0"),
        ("wine", "~1"),
    ],
)
def test_a_model_and_a_number_go_together(model: str | None, version: str | None) -> None:
    with pytest.raises(InvalidArgument):
        parse_version(model, version)
