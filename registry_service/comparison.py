"""What differs between two versions, and which of it can explain that they behave differently."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

from service_chassis.repository_pages import is_same_repository, page_of_range

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    Scalar = str | int | float | bool


class Aspect(IntEnum):
    """A side of a version; the numbers are those of the contract."""

    DATA = 1
    CODE = 2
    PARAMETERS = 3
    ENVIRONMENT = 4
    METRICS = 5
    FILES = 6


# What explains the others, which are results.
CAUSES = (Aspect.DATA, Aspect.CODE, Aspect.PARAMETERS, Aspect.ENVIRONMENT)


class Sameness(IntEnum):
    """Whether something is the same in both; the numbers are those of the contract."""

    SAME = 1
    CHANGED = 2
    UNKNOWN = 3


class Verdict(IntEnum):
    """What changed; the numbers are those of the contract."""

    NOTHING_CHANGED = 1
    DATA_CHANGED = 2
    CODE_CHANGED = 3
    PARAMETERS_CHANGED = 4
    ENVIRONMENT_CHANGED = 5
    SEVERAL_CHANGED = 6
    UNKNOWN = 7


@dataclass(frozen=True, slots=True)
class UsedDataset:
    """A dataset version that went into a version; `row_count` is -1 when it is no table."""

    role: str
    name: str
    digest: str
    row_count: int

    @property
    def dataset(self) -> str:
        """Name of the dataset without its version."""
        return self.name.partition("/versions/")[0]


@dataclass(frozen=True, slots=True)
class UsedCode:
    """The code that a version was made with."""

    repository: str
    commit: str
    branch: str
    dirty: bool
    diff_digest: str
    entry_point: str

    @property
    def is_known(self) -> bool:
        """Whether what is recorded tells this code from any other."""
        return bool(self.commit) and (not self.dirty or bool(self.diff_digest))


@dataclass(frozen=True, slots=True)
class VersionFacts:
    """All of a version that is compared.

    Attributes:
        name: Its resource name.
        datasets: What went in.
        code: None when it was not recorded.
        params: Parameters of the run.
        environment: Facts that are known of it; None when nothing was recorded.
        packages: Installed packages with their versions.
        metrics: Last values.
        files: Digests by path.
    """

    name: str
    datasets: tuple[UsedDataset, ...]
    code: UsedCode | None
    params: Mapping[str, Scalar]
    environment: Mapping[str, str] | None
    packages: Mapping[str, str]
    metrics: Mapping[str, float]
    files: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Item:
    """Something that is not the same; texts are empty for what a version does not have."""

    name: str
    first: str
    second: str
    delta: float | None = None


@dataclass(frozen=True, slots=True)
class DatasetPair:
    """Datasets of one role that stand against each other; None when there is no other."""

    role: str
    first: UsedDataset | None
    second: UsedDataset | None


@dataclass(frozen=True, slots=True)
class AspectComparison:
    """One side of two versions.

    Attributes:
        aspect: Which.
        outcome: Whether it is the same.
        items: What differs.
        datasets: The datasets that differ.
        compare_url: Page that shows what lies between the commits.
        missing: What was not recorded, in sentences.
    """

    aspect: Aspect
    outcome: Sameness
    items: tuple[Item, ...] = ()
    datasets: tuple[DatasetPair, ...] = ()
    compare_url: str = ""
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions: the verdict, which causes changed, and all aspects in order."""

    verdict: Verdict
    changed: tuple[Aspect, ...]
    aspects: tuple[AspectComparison, ...]
    missing: tuple[str, ...]


def compare(first: VersionFacts, second: VersionFacts) -> Comparison:
    """Compare two versions."""
    aspects = (
        _data(first, second),
        _code(first, second),
        _of_items(Aspect.PARAMETERS, _params(first.params, second.params)),
        _environment(first, second),
        _of_items(Aspect.METRICS, _metrics(first.metrics, second.metrics)),
        _of_items(Aspect.FILES, _differing(first.files, second.files)),
    )
    outcomes = {compared.aspect: compared.outcome for compared in aspects}
    changed = tuple(cause for cause in CAUSES if outcomes[cause] is Sameness.CHANGED)
    missing = [text for compared in aspects for text in compared.missing]
    all_same = all(outcomes[cause] is Sameness.SAME for cause in CAUSES)
    if all_same and outcomes[Aspect.FILES] is Sameness.CHANGED:
        missing.append(
            "Data, code, parameters and environment are the same, yet the files differ: what made "
            "the difference was not recorded, e.g. a seed, or which files of the run were chosen."
        )
    return Comparison(_verdict(changed, missing), changed, aspects, tuple(missing))


def _verdict(changed: Sequence[Aspect], missing: Sequence[str]) -> Verdict:
    if len(changed) > 1:
        return Verdict.SEVERAL_CHANGED
    if changed:
        return Verdict[f"{changed[0].name}_CHANGED"]
    return Verdict.UNKNOWN if missing else Verdict.NOTHING_CHANGED


def _once(sentences: Iterable[str]) -> tuple[str, ...]:
    """Each sentence once: both versions may be the same."""
    return tuple(dict.fromkeys(sentences))


def _of_items(aspect: Aspect, items: tuple[Item, ...]) -> AspectComparison:
    return AspectComparison(aspect, Sameness.CHANGED if items else Sameness.SAME, items)


def _data(first: VersionFacts, second: VersionFacts) -> AspectComparison:
    missing = _once(
        f"No dataset was recorded of the run that made {version.name}."
        for version in (first, second)
        if not version.datasets
    )
    if missing:
        return AspectComparison(Aspect.DATA, Sameness.UNKNOWN, missing=missing)
    pairs = pair_datasets(first.datasets, second.datasets)
    outcome = Sameness.CHANGED if pairs else Sameness.SAME
    return AspectComparison(Aspect.DATA, outcome, datasets=pairs)


def pair_datasets(
    first: Sequence[UsedDataset], second: Sequence[UsedDataset]
) -> tuple[DatasetPair, ...]:
    """Datasets that only one has, by role: those of the same name together, then in order."""
    pairs: list[DatasetPair] = []
    for role in sorted({used.role for used in (*first, *second)}):
        ours = [used for used in first if used.role == role]
        theirs = [used for used in second if used.role == role]
        held = {used.digest for used in ours} & {used.digest for used in theirs}
        before = [used for used in ours if used.digest not in held]
        after = [used for used in theirs if used.digest not in held]
        for used in tuple(before):
            same = next((other for other in after if other.dataset == used.dataset), None)
            if same is not None:
                pairs.append(DatasetPair(role, used, same))
                before.remove(used)
                after.remove(same)
        together = min(len(before), len(after))
        pairs += [DatasetPair(role, *both) for both in zip(before, after, strict=False)]
        pairs += [DatasetPair(role, used, None) for used in before[together:]]
        pairs += [DatasetPair(role, None, used) for used in after[together:]]
    return tuple(pairs)


def _code(first: VersionFacts, second: VersionFacts) -> AspectComparison:
    one, other = first.code, second.code
    items = _code_items(one, other) if one and other else ()
    page = ""
    if one and other and one.commit != other.commit and one.commit and other.commit:
        if is_same_repository(one.repository, other.repository):
            page = page_of_range(other.repository, one.commit, other.commit)
        return AspectComparison(Aspect.CODE, Sameness.CHANGED, items, compare_url=page)
    unknown = _once(
        _unknown_code(version)
        for version in (first, second)
        if version.code is None or not version.code.is_known
    )
    if unknown:
        return AspectComparison(Aspect.CODE, Sameness.UNKNOWN, items, missing=unknown)
    return _of_items(Aspect.CODE, items)


def _code_items(one: UsedCode, other: UsedCode) -> tuple[Item, ...]:
    before = {"commit": one.commit, "diff_digest": one.diff_digest, "entry_point": one.entry_point}
    after = {
        "commit": other.commit,
        "diff_digest": other.diff_digest,
        "entry_point": other.entry_point,
    }
    if one.commit != other.commit:
        before |= {"branch": one.branch, "repository": one.repository}
        after |= {"branch": other.branch, "repository": other.repository}
    return _differing(before, after)


def _unknown_code(version: VersionFacts) -> str:
    if version.code is None or not version.code.commit:
        return f"No commit was recorded of the code that made {version.name}."
    return f"The code that made {version.name} differed from its commit, and how was not recorded."


def _environment(first: VersionFacts, second: VersionFacts) -> AspectComparison:
    missing = _once(
        f"The environment in which {version.name} was made was not recorded."
        for version in (first, second)
        if version.environment is None
    )
    if missing or first.environment is None or second.environment is None:
        return AspectComparison(Aspect.ENVIRONMENT, Sameness.UNKNOWN, missing=missing)
    # A fact that one of them does not have was not recorded; a package was not installed.
    facts = (
        item
        for item in _differing(first.environment, second.environment)
        if item.first and item.second
    )
    packages = (
        Item(f"packages.{item.name}", item.first, item.second)
        for item in _differing(first.packages, second.packages)
    )
    return _of_items(Aspect.ENVIRONMENT, (*facts, *packages))


def _differing(first: Mapping[str, str], second: Mapping[str, str]) -> tuple[Item, ...]:
    names = sorted({name for name, _ in first.items() ^ second.items()})
    return tuple(Item(name, first.get(name, ""), second.get(name, "")) for name in names)


def _params(first: Mapping[str, Scalar], second: Mapping[str, Scalar]) -> tuple[Item, ...]:
    return tuple(
        Item(key, _text(first.get(key)), _text(second.get(key)))
        for key in sorted(first.keys() | second.keys())
        if key not in first or key not in second or not _same(first[key], second[key])
    )


def _same(one: Scalar, other: Scalar) -> bool:
    if isinstance(one, float) and isinstance(other, float) and math.isnan(one):
        return math.isnan(other)
    # True is no 1, and "1" neither; 1 and 1.0 are the same number.
    kinds = [kind if kind in {str, bool} else float for kind in (type(one), type(other))]
    return kinds[0] is kinds[1] and one == other


def _text(value: Scalar | None) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)


def _metrics(first: Mapping[str, float], second: Mapping[str, float]) -> tuple[Item, ...]:
    items = []
    for key in sorted(first.keys() | second.keys()):
        one, other = first.get(key), second.get(key)
        if one is None or other is None:
            items.append(Item(key, _text(one), _text(other)))
        elif not _same(one, other):
            items.append(Item(key, repr(one), repr(other), other - one))
    return tuple(items)
