"""How the code of two runs differs, and where to look at it."""

from __future__ import annotations

import pytest

from tracking_service.code_comparison import compare_code
from tracking_service.records import Code

OLD, NEW = "a" * 40, "b" * 40
PATCH, OTHER_PATCH = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"


def code(
    commit: str = OLD, repository: str = "https://github.com/ada/wine.git", **values: object
) -> Code:
    return Code(commit=commit, repository=repository, **values)  # type: ignore[arg-type]


def url(old: str, new: str | None = None) -> str:
    difference = compare_code(code(repository=old), code(NEW, repository=new or old))
    assert difference.commit_range == f"{OLD}..{NEW}"
    return difference.compare_url


def test_the_same_commit_without_changes_is_the_same_code() -> None:
    difference = compare_code(code(), code())

    assert difference.same
    assert (difference.commit_range, difference.compare_url) == ("", "")


def test_the_same_patch_on_the_same_commit_is_the_same_code() -> None:
    changed = code(dirty=True, diff_digest=PATCH)

    assert compare_code(changed, changed).same
    assert not compare_code(changed, code(dirty=True, diff_digest=OTHER_PATCH)).same
    assert not compare_code(changed, code()).same


def test_the_patch_of_the_run_is_named_whatever_the_commits_are() -> None:
    changed = code(dirty=True, diff_digest=PATCH, diff_artifact="studbook/code.patch")

    for baseline in (None, code(), code(NEW), changed):
        assert compare_code(baseline, changed).diff_artifact == "studbook/code.patch"


def test_untracked_files_are_not_compared() -> None:
    assert compare_code(
        code(), code(dirty=True, untracked_count=2, untracked_files=("a", "b"))
    ).same


def test_changes_that_are_not_known_are_not_the_same() -> None:
    # Git did not say in time what differs.
    unknown = code(dirty=True)

    assert not compare_code(unknown, unknown).same


@pytest.mark.parametrize("missing", [None, Code(), Code(entry_point="train.py")])
def test_code_that_is_not_known_is_not_the_same(missing: Code | None) -> None:
    for difference in (compare_code(missing, code()), compare_code(code(), missing)):
        assert not difference.same
        assert difference.commit_range == ""
    assert not compare_code(missing, missing).same


def test_there_is_no_range_between_repositories() -> None:
    other = code(NEW, repository="https://github.com/ada/cheese.git")

    assert compare_code(code(), other).commit_range == ""
    assert compare_code(code(), code(NEW, repository="")).commit_range == ""


def test_a_repository_without_a_remote_has_a_range_and_no_page() -> None:
    assert url("") == ""


@pytest.mark.parametrize(
    "other",
    [
        "https://github.com/ada/wine",
        "https://github.com/ada/wine/",
        "https://GitHub.com/Ada/Wine.git",
        "git@github.com:ada/wine.git",
        "ssh://git@github.com/ada/wine.git",
        "ssh://git@github.com:22/ada/wine",
        "git://github.com/ada/wine.git",
    ],
)
def test_one_repository_is_known_by_all_its_addresses(other: str) -> None:
    assert url("https://github.com/ada/wine.git", other).lower() == (
        f"https://github.com/ada/wine/compare/{OLD}..{NEW}"
    )


@pytest.mark.parametrize(
    ("repository", "page"),
    [
        (
            "git@gitlab.com:plant/team/wine.git",
            f"https://gitlab.com/plant/team/wine/-/compare/{OLD}...{NEW}?straight=true",
        ),
        (
            "http://gitlab.plant.example:8080/team/wine.git",
            f"http://gitlab.plant.example:8080/team/wine/-/compare/{OLD}...{NEW}?straight=true",
        ),
        (
            "https://bitbucket.org/plant/wine.git",
            f"https://bitbucket.org/plant/wine/branches/compare/{NEW}%0D{OLD}#diff",
        ),
        (
            "https://codeberg.org/ada/wine",
            f"https://codeberg.org/ada/wine/compare/{OLD}...{NEW}",
        ),
        (
            "git@github.plant.example:ada/.wine.git",
            f"https://github.plant.example/ada/.wine/compare/{OLD}..{NEW}",
        ),
    ],
)
def test_the_page_of_a_known_host(repository: str, page: str) -> None:
    assert url(repository) == page


@pytest.mark.parametrize(
    "repository",
    [
        "https://git.plant.example/ada/wine.git",
        "https://bitbucket.plant.example/scm/ada/wine.git",
        "https://notgithub.com/ada/wine.git",
        "https://github.com.evil.example@plant.example/ada/wine",
        "https://github.com/wine.git",
        "https://github.com/ada/../wine",
        "https://github.com/ada/wi ne",
        "https://github.com/ada/w\N{LATIN SMALL LETTER I WITH DIAERESIS}ne",
        "git@github.com:",
        "https://github.com:port/ada/wine",
        "/srv/git/wine.git",
        "C:/repositories/wine.git",
        "file:///srv/github.com/ada/wine.git",
        "javascript:alert(1)",
    ],
)
def test_there_is_no_page_where_none_is_known_for_sure(repository: str) -> None:
    assert url(repository) == ""
