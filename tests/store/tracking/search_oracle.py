"""Runs in plain Python, and what filters and orders say of them: an oracle for ListRuns."""

from __future__ import annotations

import math
import operator
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from studbook.tracking.v1 import run_pb2
from tests.store.tracking.at_work import WINE, WORKSPACE, caller, sha256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.store.tracking.at_work import Tracking

Value = str | int | float | bool

ORDERED: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
TEXTS = (
    "",
    "a",
    "A",
    "ab",
    "a b",
    "aB%",
    "_b",
    "b*",
    "é[?]",
    "😀a",
    "'\"\\",
    "7",
    "0.1",
    "true",
    "x" * 64 + "y",
    "x" * 64 + "z",
)
NUMBERS = (
    math.nan,
    math.inf,
    -math.inf,
    0.0,
    -0.0,
    0.1,
    0.25,
    -1.5,
    5e-324,
    1e300,
    7.0,
    2.0**53,
    2.0**63,
)
WHOLES = (0, 1, 7, -3, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63))
MOMENTS = (0, 1_767_225_600_000_000, 1_767_225_600_000_001, 1_800_000_000_999_999)
STATES = ("RUNNING", "FINISHED", "FAILED", "KILLED", "PREEMPTED")
DATASETS = (("wine", "1"), ("wine", "2"), ("beer", "1"), ("beer-2", "a.b"))
# What of a dataset a run can be found by.
DATASET_FORMS = ("name", "version", "digest", "name of dataset", "name of version")
ROLES = ("training", "val/set")
SERVER_TIMES = ("create_time", "update_time", "heartbeat_time")
# Stands for the times that the server puts in itself.
NOW, FAR_FUTURE = 1_800_000_000_000_000, 100_000_000_000_000_000


@dataclass(frozen=True)
class KnownRun:
    """What was logged into a run.

    Attributes:
        facts: Attributes under the names that filters have for them; None is missing.
        params: Parameters by key.
        tags: Tags by key.
        points: Steps and values of metrics by key, in order of arrival.
        datasets: Role, name and version of each dataset.
    """

    facts: Mapping[str, Any]
    params: Mapping[str, Value]
    tags: Mapping[str, str]
    points: Mapping[str, Any]
    datasets: frozenset[tuple[str, str, str]]

    @property
    def id(self) -> str:
        return str(self.facts["name"]).rsplit("/", 1)[1]

    def figure(self, key: str, name: str) -> float | None:
        """A figure of a metric's summary; None where there is none, or it is NaN."""
        points = self.points.get(key)
        return _figures(points)[name] if points else None

    def dataset_values(self, role: str | None, form: str) -> list[str]:
        """What all datasets of the run, or those of one role, are found by."""
        return [
            dataset_form(form, name, version)
            for used_as, name, version in sorted(self.datasets)
            if role in {None, used_as}
        ]


FIGURES = ("first", "last", "min", "max", "mean", "count", "last_step", "min_step", "max_step")


def _figures(points: list[tuple[int, float]]) -> dict[str, float | None]:
    numbers = [point for point in points if not math.isnan(point[1])]
    finite = [value for _, value in numbers if math.isfinite(value)]
    lowest = min(numbers, key=lambda point: point[1], default=(None, None))
    highest = max(numbers, key=lambda point: point[1], default=(None, None))
    # The latest to arrive of those with the highest step.
    last = max(reversed(points), key=lambda point: point[0])
    mean = math.fsum(finite) / len(finite) if finite else None
    count = len(points)
    figures = (
        *(_or_none(points[0][1]), _or_none(last[1]), lowest[1], highest[1], mean, count, last[0]),
        *(lowest[0], highest[0]),
    )
    return dict(zip(FIGURES, figures, strict=True))


def dataset_form(form: str, name: str, version: str) -> str:
    whole = f"{WORKSPACE}/datasets/{name}"
    return {
        "name": name,
        "version": version,
        "digest": sha256(f"{name}{version}".encode()),
        "name of dataset": whole,
        "name of version": f"{whole}/versions/{version}",
    }[form]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else value


PARAM_KEYS = ("lr", "opt.kind", "val/loss", 'it\'s "q" \\', "min", "größe 1")
METRIC_KEYS = ("loss", "val/loss", "a.min", "min", "x y")
# Sums of these are exact, so that means do not depend on the order of adding up.
METRIC_VALUES = (math.nan, math.inf, -math.inf, 0.0, -0.0, 0.125, 0.25, -1.5, 7.0)
STEPS = (0, 5, 7, 2**62)
TAG_KEYS = ("team", "x.y", "AND")


def known_runs(count: int) -> list[KnownRun]:
    """Runs in which every value comes up, in mixed company."""
    chance = random.Random(11)  # noqa: S311 - the same runs each time
    return [_known_run(f"r{index:02}", chance) for index in range(count)]


def _known_run(run_id: str, chance: random.Random) -> KnownRun:
    def some(keys: tuple[str, ...], value: Callable[[], Any]) -> dict[str, Any]:
        return {key: value() for key in keys if chance.random() < 0.7}

    def logged() -> Value:
        kinds: list[Callable[[], Value]] = [
            lambda: chance.choice(TEXTS),
            lambda: chance.choice(WHOLES),
            lambda: chance.choice(NUMBERS),
            lambda: chance.choice(NUMBERS),
            lambda: chance.choice((True, False)),
        ]
        return chance.choice(kinds)()

    return KnownRun(
        facts=_facts(run_id, chance),
        params=some(PARAM_KEYS, logged),
        tags=some(TAG_KEYS, lambda: chance.choice(TEXTS)),
        points=some(
            METRIC_KEYS,
            lambda: [
                (chance.choice(STEPS), chance.choice(METRIC_VALUES))
                for _ in range(chance.randint(1, 3))
            ],
        ),
        datasets=frozenset(
            (chance.choice(ROLES), *chance.choice(DATASETS)) for _ in range(chance.randint(0, 3))
        ),
    )


def _facts(run_id: str, chance: random.Random) -> dict[str, Any]:
    state = 1 + chance.randrange(len(STATES))
    # A run that goes on has no end.
    ended = STATES[state - 1] != "RUNNING"
    has_code, has_environment = chance.random() < 0.7, chance.random() < 0.7

    def fact(text: str, *, there: bool) -> str | None:
        return (text or None) if there else None

    return {
        "name": f"{WINE}/runs/{run_id}",
        "display_name": chance.choice(TEXTS),
        "creator": f"user:dev:{chance.choice('abc')}",
        "state": state,
        "exit_code": chance.choice((None, 0, 1, -9)) if ended else None,
        "start_time": chance.choice((None, *MOMENTS)),
        "end_time": chance.choice((None, *MOMENTS)) if ended else None,
        **dict.fromkeys(SERVER_TIMES, NOW),
        "code.commit": fact(chance.choice(("", "a" * 40, "b" * 40)), there=has_code),
        "code.branch": fact(chance.choice(TEXTS), there=has_code),
        "code.repository": fact(chance.choice(TEXTS), there=has_code),
        "code.entry_point": fact(chance.choice(TEXTS), there=has_code),
        "code.dirty": chance.choice((True, False)) if has_code else None,
        "environment.python_version": fact(
            chance.choice(("", "3.11.7", "3.12.0")), there=has_environment
        ),
        "environment.platform": fact(chance.choice(TEXTS), there=has_environment),
        "environment.hostname": fact(chance.choice(TEXTS), there=has_environment),
    }


def store(tracking: Tracking, runs: list[KnownRun]) -> None:
    """Log the runs, in their order, into the experiment `WINE`."""
    versions = {
        (name, version): tracking.dataset(name, f"{name}{version}".encode(), version_id=version)
        for name, version in DATASETS
    }
    for run in runs:
        _store(tracking, run, {key: dataset.name for key, dataset in versions.items()})


def _store(tracking: Tracking, run: KnownRun, versions: dict[tuple[str, str], str]) -> None:
    facts = run.facts
    creator = caller(facts["creator"].rpartition(":")[2])
    made = tracking.run(run.id, by=creator, display_name=facts["display_name"], tags=run.tags)
    tracking.log(
        made.name,
        params=run.params,
        dataset_inputs=[
            run_pb2.DatasetInput(role=role, dataset=versions[name, version])
            for role, name, version in run.datasets
        ],
        **{part: _document(facts, part) for part in ("code", "environment")},
    )
    if run.points:
        tracking.append(made.name, **run.points)
    changes = {
        name: facts[name]
        for name in ("exit_code", "start_time", "end_time")
        if facts[name] is not None
    }
    for name in ("start_time", "end_time"):
        if name in changes:
            seconds, micros = divmod(changes[name], 1_000_000)
            changes[name] = {"seconds": seconds, "nanos": micros * 1000}
    tracking.update(made.name, state=facts["state"], **changes)


def _document(facts: Mapping[str, Any], part: str) -> dict[str, Any] | None:
    """A message's fields, None when it was not logged."""
    fields = {
        name.removeprefix(f"{part}."): value
        for name, value in facts.items()
        if name.startswith(f"{part}.") and value is not None
    }
    return fields or None


def text_form(value: Value) -> str | None:
    """A parameter's value as text; NaN is no value."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return None if math.isnan(value) else repr(value)
    return str(value)


def number(value: Value | None) -> int | float | None:
    """A parameter's value if it is a number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        return None
    return value


# What a run is sorted by for one field of `order_by`: one key or several, None last.
SortKeys = Callable[[KnownRun], tuple[Any, ...]]


def sort_keys(path: tuple[str, ...]) -> SortKeys:
    """The meaning of one field of `order_by`."""
    kind, *key = path
    if kind == "params":
        return lambda run: _param_keys(run.params.get(key[0]))
    if kind == "tags":
        return lambda run: (_by_bytes(run.tags.get(key[0])),)
    if kind == "metrics":
        return lambda run: (run.figure(key[0], (*key, "last")[1]),)
    if kind in SERVER_TIMES:
        # The runs are stored one after another.
        return lambda run: (run.id,)
    return lambda run: (_by_bytes(run.facts[".".join(path)]),)


def _by_bytes(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value


def _param_keys(value: Value | None) -> tuple[Any, ...]:
    """Numbers come before texts in either direction; they are told apart exactly."""
    if value is None or text_form(value) is None:
        return None, None
    found = number(value)
    return (None, _by_bytes(text_form(value))) if found is None else (found, None)


def in_order(runs: list[KnownRun], terms: list[tuple[SortKeys, bool]]) -> list[KnownRun]:
    """The runs by fields, each perhaps descending; the order of creation decides last."""
    ordered = runs[::-1] if terms[0][1] else list(runs)
    for keys, descending in reversed(terms):
        for index in reversed(range(len(keys(runs[0])))):
            ordered = _sorted_by(ordered, keys, index, descending=descending)
    return ordered


def _sorted_by(
    runs: list[KnownRun], keys: SortKeys, index: int, *, descending: bool
) -> list[KnownRun]:
    present = [run for run in runs if keys(run)[index] is not None]
    # Python's sort is stable in both directions.
    present.sort(key=lambda run: keys(run)[index], reverse=descending)
    return present + [run for run in runs if keys(run)[index] is None]
