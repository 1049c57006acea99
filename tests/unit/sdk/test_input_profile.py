"""Inputs of a model are profiled as a dataset is, whichever way they come."""

from __future__ import annotations

import datetime as dt
import logging
import math
import threading
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from studbook.drift import Outcome, TableProfile, compare_tables
from studbook.input_profile import InputProfile, profile_inputs
from tests.unit.sdk.drifting_tables import profile_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studbook.registry.v1.comparison_pb2 import InputProfile as Message

ROWS = 3000


def wine(seed: int) -> dict[str, Any]:
    random = np.random.default_rng(seed)
    return {
        "alcohol": random.normal(13, 1, ROWS),
        "bottles": random.integers(1, 50, ROWS),
        "colour": random.choice(["red", "white", "rosé"], ROWS),
        "organic": random.random(ROWS) < 0.2,
        "sulphite": np.where(random.random(ROWS) < 0.1, np.nan, random.random(ROWS)),
        "picked": np.datetime64("2026-01-01", "s") + random.integers(0, 10**6, ROWS),
    }


def requests(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows as they come over HTTP: a value that is missing may be there as None or not."""
    for index, row in enumerate(zip(*(values.tolist() for values in table.values()), strict=True)):
        request = dict(zip(table, row, strict=True))
        if math.isnan(request["sulphite"]):
            request["sulphite"] = None
            if index % 2:
                del request["sulphite"]
        yield request


def outcomes(message: Message, seed: int = 1) -> dict[str, Outcome]:
    found = compare_tables(profile_of(wine(seed)), TableProfile(message.row_count, message.columns))
    return {drift.name: drift.outcome for drift in found}


STEADY = dict.fromkeys(wine(1), Outcome.STEADY)


def test_a_frame_and_a_stream_of_requests_have_the_same_profile() -> None:
    table = wine(2)
    by_frame = profile_inputs(pd.DataFrame(table)).message()
    by_request = profile_inputs(requests(table)).message()
    assert by_frame.row_count == by_request.row_count == ROWS
    for one, other in zip(by_frame.columns, by_request.columns, strict=True):
        assert (one.name, one.null_count) == (other.name, other.null_count)
        # Which of many values are counted depends on how many came at once.
        if one.name in {"bottles", "colour", "organic"}:
            assert one.profile.top_values == other.profile.top_values
        assert one.profile.numbers.mean == pytest.approx(other.profile.numbers.mean)
        assert one.profile.distinct_estimate == other.profile.distinct_estimate
    assert outcomes(by_frame) == outcomes(by_request) == STEADY


def test_what_drifts_in_a_stream_is_found() -> None:
    table = wine(2)
    table["alcohol"] = table["alcohol"] + 0.5
    message = profile_inputs(requests(table)).message()
    assert outcomes(message) == STEADY | {"alcohol": Outcome.DRIFTED}


@pytest.mark.parametrize("parts", [2, 10])
def test_profiles_of_several_processes_are_merged(parts: int) -> None:
    table = wine(2)
    whole = InputProfile()
    for part in range(parts):
        some = {name: values[part::parts] for name, values in table.items()}
        whole.merge(InputProfile.from_bytes(profile_inputs(requests(some)).to_bytes()))
    message = whole.message()
    assert whole.row_count == message.row_count == ROWS
    assert outcomes(message) == STEADY
    missing = {column.name: column.null_count for column in message.columns}
    assert missing["sulphite"] == np.isnan(table["sulphite"]).sum()
    assert missing["alcohol"] == 0


def test_a_profile_goes_on_after_it_was_read() -> None:
    profile = InputProfile()
    for index in range(3000):
        profile.add_request({"n": index % 7})
        if index in {10, 1500}:
            assert profile.message().row_count == index + 1
    (column,) = profile.message().columns
    assert (column.type, column.null_count) == ("double", 0)
    assert column.profile.numbers.finite_count == 3000
    assert {top.value: top.count for top in column.profile.top_values}["0.0"] == 429


def test_whole_numbers_decimals_and_doubles_are_one_kind() -> None:
    profile = profile_inputs([{"n": 1}, {"n": 2.5}, {"n": Decimal("2.5")}, {"n": np.float32(1)}])
    profile.add({"n": [Decimal("2.5"), None]})
    profile.add({"n": np.array([10**18], "uint64")})
    profile.add_request({"n": 10**400})
    (column,) = profile.message().columns
    assert (profile.row_count, column.null_count) == (8, 1)
    assert column.profile.numbers.max == math.inf
    assert [(top.value, top.count) for top in column.profile.top_values] == [
        ("2.5", 3),
        ("1.0", 2),
    ]


def test_a_value_of_another_kind_counts_as_missing_and_that_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "studbook"):
        profile = profile_inputs({"n": n if n % 4 else "four"} for n in range(4000))
        profile.add_request({"n": [1, 2]})
        (column,) = profile.message().columns
    assert (column.type, column.null_count) == ("double", 1001)
    assert len(caplog.records) == 1
    assert "'n' was a number before and now is a text" in caplog.text


def test_columns_that_come_late_or_never_have_a_value() -> None:
    profile = profile_inputs([{"a": 1, "b": None}, {"a": 2, "c": True}])
    columns = {column.name: column for column in profile.message().columns}
    assert {name: column.null_count for name, column in columns.items()} == {
        "a": 0,
        "b": 2,
        "c": 1,
    }
    assert columns["b"].type == "null"
    assert not columns["b"].HasField("profile")


def test_times_are_those_of_utc() -> None:
    zone = dt.timezone(dt.timedelta(hours=2))
    profile = profile_inputs(
        [
            {"at": dt.datetime(2026, 3, 3, 14, 5, tzinfo=zone)},
            {"at": dt.datetime(2026, 3, 3, 12, 5, tzinfo=dt.UTC)},
            {"at": np.datetime64("2026-03-03T12:05")},
            {"at": pd.Timestamp("2026-03-03T12:05")},
            {"at": np.datetime64("NaT", "s")},
        ]
    )
    (column,) = profile.message().columns
    assert (column.type, column.null_count) == ("timestamp[us]", 1)
    (top,) = column.profile.top_values
    assert (top.value, top.count) == ("2026-03-03T12:05:00.000000", 4)


def test_several_threads_may_add() -> None:
    profile = InputProfile()

    def work() -> None:
        for number in range(2000):
            profile.add_request({"n": number})

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (column,) = profile.message().columns
    assert (profile.row_count, column.null_count) == (8000, 0)
    assert column.profile.numbers.finite_count == 8000


def test_a_stream_of_any_length_takes_the_same_room() -> None:
    profile = InputProfile()
    rows = np.arange(200_000)
    profile.add({"text": rows.astype(str), "number": rows})
    size = len(profile.to_bytes())
    profile.add({"text": (rows + 200_000).astype(str), "number": rows + 200_000})
    assert size < 8192
    assert len(profile.to_bytes()) < 8192


@pytest.mark.parametrize("data", [3, "text", [1, 2], [[1]]])
def test_what_are_no_inputs_is_refused(data: Any) -> None:
    with pytest.raises(TypeError):
        profile_inputs(data)


def test_bytes_that_are_no_profile_are_refused() -> None:
    with pytest.raises(ValueError, match="no profile of inputs"):
        InputProfile.from_bytes(b"\xff\xff\xff")


def test_a_column_that_two_processes_saw_as_different_kinds() -> None:
    one = profile_inputs({"c": 1} for _ in range(10))
    one.merge(profile_inputs({"c": "text"} for _ in range(30)))
    (column,) = one.message().columns
    assert (column.type, column.null_count) == ("string", 10)
