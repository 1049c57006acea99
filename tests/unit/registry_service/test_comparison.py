"""What differs between two versions, and the one verdict that comes of it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from registry_service.comparison import (
    Aspect,
    Comparison,
    Item,
    Sameness,
    UsedCode,
    UsedDataset,
    Verdict,
    VersionFacts,
    compare,
    pair_datasets,
)

WINE = UsedDataset("training", "workspaces/main/datasets/wine/versions/1", "sha256:aa", 100)
NEWER = replace(WINE, name="workspaces/main/datasets/wine/versions/2", digest="sha256:bb")
TEST = replace(WINE, role="test", name="workspaces/main/datasets/held-out/versions/1")
CODE = UsedCode(
    repository="https://github.com/wine/models",
    commit="a" * 40,
    branch="main",
    dirty=False,
    diff_digest="",
    entry_point="train.py",
)
BASE = VersionFacts(
    name="workspaces/main/models/wine/versions/1.0.0",
    datasets=(WINE, TEST),
    code=CODE,
    params={"depth": 4, "criterion": "gini", "shuffle": True},
    environment={"python_version": "3.11.7", "platform": "Linux-6.1", "machine": "x86_64"},
    packages={"numpy": "2.0.0"},
    metrics={"accuracy": 0.97},
    files={"model.joblib": "sha256:cc"},
)
RETRAINED = replace(
    BASE,
    name="workspaces/main/models/wine/versions/1.1.0",
    metrics={"accuracy": 0.9},
    files={"model.joblib": "sha256:dd"},
)


def outcomes(comparison: Comparison) -> dict[Aspect, Sameness]:
    return {compared.aspect: compared.outcome for compared in comparison.aspects}


def items(comparison: Comparison, aspect: Aspect) -> list[Item]:
    return list(comparison.aspects[aspect - 1].items)


CHANGES: dict[str, tuple[Verdict, Aspect, dict[str, Any]]] = {
    "data": (Verdict.DATA_CHANGED, Aspect.DATA, {"datasets": (NEWER, TEST)}),
    "a role less": (Verdict.DATA_CHANGED, Aspect.DATA, {"datasets": (WINE,)}),
    "commit": (Verdict.CODE_CHANGED, Aspect.CODE, {"code": replace(CODE, commit="b" * 40)}),
    "patch": (
        Verdict.CODE_CHANGED,
        Aspect.CODE,
        {"code": replace(CODE, dirty=True, diff_digest="sha256:ee")},
    ),
    "program": (Verdict.CODE_CHANGED, Aspect.CODE, {"code": replace(CODE, entry_point="fit.py")}),
    "parameter": (
        Verdict.PARAMETERS_CHANGED,
        Aspect.PARAMETERS,
        {"params": BASE.params | {"depth": 5}},  # type: ignore[operator] # it is a dict
    ),
    "package": (Verdict.ENVIRONMENT_CHANGED, Aspect.ENVIRONMENT, {"packages": {"numpy": "2.1.0"}}),
    "image": (
        Verdict.ENVIRONMENT_CHANGED,
        Aspect.ENVIRONMENT,
        {"environment": {**(BASE.environment or {}), "python_version": "3.12.0"}},
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_one_change_is_the_verdict(name: str) -> None:
    verdict, aspect, change = CHANGES[name]
    for before, after in (
        (BASE, replace(RETRAINED, **change)),
        (replace(RETRAINED, **change), BASE),
    ):
        comparison = compare(before, after)
        assert comparison.verdict is verdict
        assert comparison.changed == (aspect,)
        assert comparison.missing == ()
        assert outcomes(comparison) == {
            each: Sameness.CHANGED if each in {aspect, Aspect.METRICS, Aspect.FILES} else same
            for each, same in dict.fromkeys(Aspect, Sameness.SAME).items()
        }


def test_several_changes() -> None:
    comparison = compare(BASE, replace(RETRAINED, datasets=(NEWER, TEST), params={}))
    assert comparison.verdict is Verdict.SEVERAL_CHANGED
    assert comparison.changed == (Aspect.DATA, Aspect.PARAMETERS)


def test_nothing_changed() -> None:
    assert compare(BASE, BASE).verdict is Verdict.NOTHING_CHANGED
    other_name = replace(BASE, name=RETRAINED.name)
    assert compare(BASE, other_name).verdict is Verdict.NOTHING_CHANGED
    timing = replace(BASE, metrics={"accuracy": 0.97, "seconds": 3.5})
    assert compare(BASE, timing).verdict is Verdict.NOTHING_CHANGED


def test_other_files_without_a_cause_are_not_called_unchanged() -> None:
    comparison = compare(BASE, RETRAINED)
    assert comparison.verdict is Verdict.UNKNOWN
    assert comparison.changed == ()
    (missing,) = comparison.missing
    assert "the files differ" in missing


@pytest.mark.parametrize(
    ("change", "aspect", "said"),
    [
        ({"datasets": ()}, Aspect.DATA, "No dataset was recorded"),
        ({"code": None}, Aspect.CODE, "No commit was recorded"),
        ({"code": replace(CODE, commit="")}, Aspect.CODE, "No commit was recorded"),
        ({"code": replace(CODE, dirty=True)}, Aspect.CODE, "how was not recorded"),
        ({"environment": None}, Aspect.ENVIRONMENT, "was not recorded"),
    ],
)
def test_what_was_not_recorded_is_unknown(
    change: dict[str, Any], aspect: Aspect, said: str
) -> None:
    lacking = replace(RETRAINED, **change)
    for pair in ((BASE, lacking), (lacking, BASE)):
        comparison = compare(*pair)
        assert comparison.verdict is Verdict.UNKNOWN
        assert outcomes(comparison)[aspect] is Sameness.UNKNOWN
        assert said in comparison.missing[0]
        assert lacking.name in comparison.missing[0]


def test_what_is_known_to_have_changed_outweighs_what_is_not_known() -> None:
    comparison = compare(BASE, replace(RETRAINED, environment=None, datasets=(NEWER, TEST)))
    assert comparison.verdict is Verdict.DATA_CHANGED
    assert len(comparison.missing) == 1


def test_evidence() -> None:
    other = replace(
        RETRAINED,
        code=replace(CODE, commit="b" * 40, repository="git@github.com:wine/models.git"),
        params={"depth": 5, "rate": 0.1, "shuffle": True},
        packages={"numpy": "2.1.0", "scipy": "1.14"},
        environment={"python_version": "3.11.7", "container_image_digest": "sha256:ff"},
    )
    comparison = compare(BASE, other)
    assert items(comparison, Aspect.PARAMETERS) == [
        Item("criterion", "gini", ""),
        Item("depth", "4", "5"),
        Item("rate", "", "0.1"),
    ]
    assert items(comparison, Aspect.ENVIRONMENT) == [
        Item("packages.numpy", "2.0.0", "2.1.0"),
        Item("packages.scipy", "", "1.14"),
    ]
    assert items(comparison, Aspect.METRICS) == [Item("accuracy", "0.97", "0.9", 0.9 - 0.97)]
    assert items(comparison, Aspect.FILES) == [Item("model.joblib", "sha256:cc", "sha256:dd")]
    assert Item("commit", "a" * 40, "b" * 40) in items(comparison, Aspect.CODE)
    page = comparison.aspects[Aspect.CODE - 1].compare_url
    assert page == f"https://github.com/wine/models/compare/{'a' * 40}..{'b' * 40}"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (1, 1.0, True),
        (True, 1, False),
        ("1", 1, False),
        (math.nan, math.nan, True),
        (0.1, 0.1, True),
        (0.1, 0.2, False),
        ("", False, False),
        (2**62 + 1, 2**62 + 2, False),
    ],
)
def test_when_parameters_are_the_same(one: Any, other: Any, same: bool) -> None:
    comparison = compare(replace(BASE, params={"p": one}), replace(BASE, params={"p": other}))
    assert (comparison.verdict is Verdict.NOTHING_CHANGED) is same


def test_datasets_are_paired_by_role_name_and_order() -> None:
    def used(role: str, dataset: str, version: str) -> UsedDataset:
        name = f"workspaces/main/datasets/{dataset}/versions/{version}"
        return UsedDataset(role, name, f"sha256:{dataset}-{version}", 10)

    first = [used("training", "a", "1"), used("training", "b", "1"), used("test", "t", "1")]
    second = [used("training", "c", "1"), used("training", "b", "2"), used("test", "t", "1")]
    pairs = pair_datasets(first, second)
    assert [(pair.first, pair.second) for pair in pairs] == [
        (first[1], second[1]),
        (first[0], second[0]),
    ]
    (alone,) = pair_datasets(first, [*first[:1], first[2]])
    assert (alone.first, alone.second) == (first[1], None)
    assert pair_datasets(first, list(reversed(first))) == ()
