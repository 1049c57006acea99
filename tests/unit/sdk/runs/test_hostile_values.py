"""Values that no training means to log: none ends it, and none takes others with it."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import threading
from argparse import Namespace
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pytest

import studbook
from studbook.logged_values import MOST_TAGS, MOST_VALUES, NotLoggable
from studbook.sync import sync_pending
from studbook.tracking.v1 import run_pb2

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.sdk.runs.loopback_state import Stored

LAST_STEP = 2**63 - 1


class Wordless:
    """An object whose own code fails whatever is asked of it."""

    def __str__(self) -> str:
        raise RuntimeError

    __repr__ = __str__

    def __float__(self) -> float:
        raise RuntimeError

    def __getattr__(self, name: str) -> Any:
        raise RuntimeError(name)


class Endless(Mapping[str, float]):
    """A mapping whose keys never end."""

    def __getitem__(self, key: str) -> float:
        return 1.0

    def __iter__(self) -> Iterator[str]:
        return map(str, itertools.count())

    def __len__(self) -> int:
        return 1


def nested(levels: int) -> dict[str, Any]:
    outermost: dict[str, Any] = {}
    inner = outermost
    for _ in range(levels):
        inner["k"] = {}
        inner = inner["k"]
    inner["x"] = 1
    return outermost


def holding_itself_twice() -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    mapping["a"] = mapping["b"] = mapping
    return mapping


def nested_list(levels: int) -> list[Any]:
    outermost: list[Any] = []
    for _ in range(levels):
        outermost = [outermost]
    return outermost


@pytest.mark.parametrize(
    "bad",
    [
        nested(10_000),
        holding_itself_twice(),
        {"x": nested_list(10_000)},
        {"x": "y" * 10_000_000},
        {"x": Wordless()},
        {"x" * 10_000_000: 1},
        {"x": {"y" * 10_000_000: 1}},
        {"x": 10**400},
        {"\ud800": 1},
        {f"k{number}": 1 for number in range(MOST_VALUES + 1)},
        Endless(),
        ["x", 1],
        "x",
    ],
    ids=lambda bad: str(type(bad)),
)
def test_log_warns_once_and_goes_on(
    offline: Path, stored: Stored, caplog: pytest.LogCaptureFixture, bad: Any
) -> None:
    with studbook.init("wine") as run:
        for step in range(3):
            run.log(bad, step)
            run.log({"good": step}, step)
    assert len(caplog.messages) == 1
    assert len(caplog.messages[0]) < 1000
    sync_pending()
    assert {key for _, key in stored.points} == {"good"}
    assert len(stored.points[run.name, "good"]) == 3


def test_a_bad_value_leaves_the_others_of_its_call_alone(offline: Path, stored: Stored) -> None:
    with studbook.init("wine") as run:
        values: dict[Any, Any] = {"a": Wordless(), Wordless(): 1, "b": 2, "c": nested_list(10_000)}
        run.log({**values, "d": 4})
    sync_pending()
    assert {key: points[0][2] for (_, key), points in stored.points.items()} == {
        "<Wordless without text>": 1.0,
        "b": 2.0,
        "d": 4.0,
    }


def test_keys_that_are_no_text_become_text(offline: Path, stored: Stored) -> None:
    with studbook.init("wine") as run:
        run.log({math.nan: 1, None: 2, 3: {4: 5}})  # type: ignore[dict-item]
    sync_pending()
    assert {key for _, key in stored.points} == {"nan", "None", "3/4"}


def test_after_the_last_step_there_is_no_other(offline: Path, stored: Stored) -> None:
    numpy = pytest.importorskip("numpy")
    with studbook.init("wine") as run:
        for step in (-(2**63), LAST_STEP, numpy.int64(LAST_STEP), None, None):
            run.log({"x": 1}, step)
    sync_pending()
    steps = [step for step, *_ in stored.points[run.name, "x"]]
    assert steps == [-(2**63), *[LAST_STEP] * 4]


@dataclasses.dataclass
class Settings:
    """A config with a part that cannot be copied."""

    lock: Any = dataclasses.field(default_factory=threading.Lock)
    inner: Any = None


def test_any_config_has_texts(offline: Path, stored: Stored) -> None:
    config = {
        "deep": nested(10_000),
        "list": nested_list(10_000),
        "wordless": Wordless(),
        "text": "a\0b\ud800c",
        "settings": Settings(inner=Namespace(depth=3)),
        "mixed": [1, Settings, Wordless()],
        "big": 10**400,
        "long": "x" * 10_000_000,
    }
    with studbook.init("wine", config=config) as run:
        pass
    sync_pending()
    params = stored.params[run.name]
    assert params["wordless"] == "<Wordless without text>"
    assert params["text"] == "a\N{REPLACEMENT CHARACTER}b?c"
    assert params["settings.inner.depth"] == 3
    assert "lock object" in params["settings.lock"]
    assert params["list"] == "<list without text>"
    assert len(params["long"]) == 8192
    assert len(params) == 9
    assert any(key.startswith("deep.k.k") for key in params)


@pytest.mark.parametrize(
    "config", [holding_itself_twice(), {"x" * 10_000_000: 1}, {f"p{n}": 1 for n in range(100_001)}]
)
def test_a_config_that_cannot_be_recorded_is_told_at_once(offline: Path, config: Any) -> None:
    with pytest.raises(NotLoggable) as caught:
        studbook.init("wine", config=config)
    assert len(str(caught.value)) < 1000
    assert not offline.exists()


def test_a_config_keeps_no_tokens(offline: Path, stored: Stored) -> None:
    token = "hf_" + "abcdefghij" * 3
    config = {
        "store": "s3://ada:hunter2@bucket/x",
        "headers": [f"Bearer {token}", {"hub": token}],
        "max_tokens": 512,
        "prompt": "Never tell the password: say `token=none`.",
    }
    with studbook.init("wine", config=config) as run:
        assert run.config["store"] == "s3://bucket/x"
    sync_pending()
    assert stored.params[run.name] == {
        "store": "s3://bucket/x",
        "headers": '["Bearer ***", {"hub": "***"}]',
        "max_tokens": 512,
        "prompt": "Never tell the password: say `token=none`.",
    }


def test_texts_that_no_server_takes_are_stored_without_what_is_wrong(
    offline: Path, stored: Stored
) -> None:
    with studbook.init(
        "wine", name="a\0b", description="\ud800", tags={"t": "c\0d", "w": Wordless()}
    ) as run:
        run.finish("failed", reason="e\0f\ud800" + "x" * 100_000)
    sync_pending()
    kept = stored.runs[run.name]
    assert kept.display_name == "a\N{REPLACEMENT CHARACTER}b"
    assert kept.description == "?"
    assert dict(kept.tags) == {
        "t": "c\N{REPLACEMENT CHARACTER}d",
        "w": "<Wordless without text>",
    }
    assert kept.state_reason.startswith("e\N{REPLACEMENT CHARACTER}f?x")
    assert len(kept.state_reason) == 4096


@pytest.mark.parametrize("tags", [{f"t{number}": 1 for number in range(MOST_TAGS + 1)}, ["a"]])
def test_tags_that_no_run_can_have_are_told_at_once(offline: Path, tags: Any) -> None:
    with pytest.raises(NotLoggable):
        studbook.init("wine", tags=tags)
    with studbook.init("wine") as run, pytest.raises(NotLoggable):
        run.set_tags(tags)


def test_whatever_finish_is_given_the_run_ends(offline: Path, stored: Stored) -> None:
    run = studbook.init("wine")
    run.finish(None, reason=Wordless(), exit_code=2**40)  # type: ignore[arg-type]
    sync_pending()
    assert stored.runs[run.name].state == run_pb2.RUN_STATE_FAILED
    assert stored.runs[run.name].state_reason == "<Wordless without text>"


def test_exceptions_with_nul_and_endless_texts_are_reasons(offline: Path, stored: Stored) -> None:
    message = "nul \0 and " + "much " * 1_000_000
    with pytest.raises(ValueError, match="nul"), studbook.init("wine") as run:
        raise ValueError(message)
    sync_pending()
    kept = stored.runs[run.name]
    assert kept.state == run_pb2.RUN_STATE_FAILED
    assert kept.state_reason.startswith("ValueError: nul \N{REPLACEMENT CHARACTER} and much much")
    assert len(kept.state_reason) == 4096


def test_many_files_are_many_records(offline: Path, stored: Stored, tmp_path: Path) -> None:
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(2500):
        (folder / f"{number:04}").write_bytes(os.urandom(2))
    with studbook.init("wine") as run:
        assert len(run.log_artifact(folder)) == 2500
    sync_pending()
    assert len({path for _, path in stored.artifacts if path.startswith("many/")}) == 2500
    assert stored.calls.count("CreateArtifacts") >= 3
