"""Profiles of columns: right, small, mergeable, and left out when they are not wanted."""

from __future__ import annotations

import datetime as dt
import decimal
import importlib.util
import logging
import math
from typing import TYPE_CHECKING, Any

import datasketches
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from studbook import dataset_reading
from studbook.dataset_messages import dataset_message
from studbook.dataset_profile import merge, profiles_of
from studbook.datasets import describe_dataset
from studbook.run_records import decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

    from studbook.tracking.v1.dataset_pb2 import ColumnProfile


def profile(values: Any) -> ColumnProfile:
    return profiles_of(describe_dataset({"c": values}, name="data"))["c"]


def tops(seen: ColumnProfile) -> list[tuple[str, int]]:
    return [(top.value, top.count) for top in seen.top_values]


def test_numbers() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(10, 2, 300_000)
    values[:5] = [np.nan, np.inf, -np.inf, 7.25, 7.25]
    seen = profile(values)
    finite = values[np.isfinite(values)]

    assert seen.nan_count == 1
    assert (seen.numbers.min, seen.numbers.max) == (-math.inf, math.inf)
    assert seen.numbers.finite_count == len(finite)
    assert seen.numbers.mean == pytest.approx(finite.mean())
    assert seen.numbers.standard_deviation == pytest.approx(finite.std())
    assert seen.distinct_estimate == pytest.approx(299_998, rel=0.1)
    ranks = [np.mean(values[1:] <= quantile) for quantile in seen.numbers.quantiles]
    assert ranks == pytest.approx([0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99], abs=0.08)


@pytest.mark.parametrize(
    ("values", "least", "largest", "top"),
    [
        (np.array([3, 1, 3], "int8"), 1, 3, ("3", 2)),
        (np.array([2**64 - 1, 0, 2**64 - 1], "uint64"), 0, 2.0**64, ("18446744073709551615", 2)),
        (np.array([True, False, True]), 0, 1, ("true", 2)),
        (np.array([-0.0, 0.0, 2.5]), 0, 2.5, ("0.0", 2)),
        (np.array([1.5, 1.5, np.nan], "float16"), 1.5, 1.5, ("1.5", 2)),
        (
            np.array(["1970-01-02", "1970-01-02", "NaT"], "M8[D]"),
            86_400e6,
            86_400e6,
            ("1970-01-02", 2),
        ),
        (
            np.array(["1969-12-31T23:59:59", "NaT", "1969-12-31T23:59:59"], "M8[s]"),
            -1e6,
            -1e6,
            ("1969-12-31T23:59:59.000000", 2),
        ),
        # Farther away than microseconds have room for.
        (np.array([2**60, 2**60, 1], "m8[s]"), 1e6, 9223372036853e6, ("9223372036853.0 s", 2)),
        (np.array([90, 90, 1], "m8[s]"), 1e6, 90e6, ("90.0 s", 2)),
        (pa.array([dt.time(1), dt.time(1)]), 3600e6, 3600e6, ("01:00:00.000000", 2)),
        (pa.array([decimal.Decimal("2.50")] * 2 + [decimal.Decimal(7)]), 2.5, 7, ("2.5", 2)),
        (
            pa.array([dt.datetime(1970, 1, 1, 1, tzinfo=dt.UTC)] * 2, pa.timestamp("ms", "UTC")),
            3600e6,
            3600e6,
            ("1970-01-01T01:00:00.000000Z", 2),
        ),
    ],
    ids=lambda value: str(getattr(value, "dtype", getattr(value, "type", ""))),
)
def test_types(values: Any, least: float, largest: float, top: tuple[str, int]) -> None:
    seen = profile(values)

    assert (seen.numbers.min, seen.numbers.max) == (least, largest)
    assert tops(seen)[0] == top


def test_texts_and_bytes() -> None:
    texts = profile(["red", "red", "white", "\N{SNOWMAN}", ""])
    data = profile(pa.array([b"\xff\x00", b"\xff\x00", None]))

    assert (texts.texts.min_length, texts.texts.max_length) == (0, 5)
    assert tops(texts) == [("red", 2)]
    assert texts.distinct_estimate == pytest.approx(4, abs=0.01)
    assert not texts.HasField("numbers")
    assert (tops(data), data.texts.max_length) == ([("ff00", 2)], 2)


def test_values_that_occur_once_are_not_listed() -> None:
    assert tops(profile([f"person {n}" for n in range(100)])) == []
    assert tops(profile(np.arange(100_000))) == []


def test_a_frequent_value_among_many_is_found() -> None:
    rng = np.random.default_rng(2)
    values = rng.normal(size=400_000)
    values[rng.random(400_000) < 0.05] = -999.0
    seen = profile(values)

    assert tops(seen) == [("-999.0", int((values == -999.0).sum()))]


def test_columns_without_values_and_of_other_kinds() -> None:
    table = pa.table(
        {
            "none": pa.nulls(2),
            "empty": pa.array([None, None], pa.float64()),
            "blank": pa.array([None, None], pa.string()),
            "list": pa.array([[1], [2]]),
        }
    )
    seen = profiles_of(describe_dataset(table, name="data"))

    assert list(seen) == ["empty", "blank"]
    assert not seen["empty"].HasField("numbers")
    assert not seen["blank"].HasField("texts")
    assert merge(seen["empty"], seen["empty"]).distinct_estimate == 0


numbers = st.lists(st.floats(allow_nan=True) | st.sampled_from([0.0, 1.0]), max_size=60)


@given(numbers, numbers)
def test_merged_parts_are_like_the_whole(one: list[float], other: list[float]) -> None:
    merged = merge(profile(np.array(one, float)), profile(np.array(other, float)))
    whole = profile(np.array(one + other, float))

    assert merged.nan_count == whole.nan_count
    # So few values are counted rather than estimated.
    assert merged.distinct_estimate == pytest.approx(whole.distinct_estimate, abs=0.01)
    ours, theirs = merged.numbers, whole.numbers
    assert (ours.min, ours.max) == (theirs.min, theirs.max)
    assert ours.finite_count == theirs.finite_count
    largest = max(abs(ours.min), abs(ours.max))
    if largest < 1e100:
        assert ours.mean == pytest.approx(theirs.mean, rel=1e-9, abs=1e-9 * largest)
    assert list(ours.quantiles) == list(theirs.quantiles)


def test_the_largest_numbers_have_a_mean() -> None:
    large = 1.7e308
    for values, mean, deviation in (
        ([large] * 8, large, 0),
        ([large, -large] * 8, 0, math.inf),
        ([1e200, -1e200], 0, math.inf),
    ):
        seen = profile(values)
        for numbers in (seen.numbers, merge(seen, seen).numbers):
            assert (numbers.mean, numbers.standard_deviation) == (mean, deviation)


def test_merged_estimates_of_many_values() -> None:
    one, other = np.arange(60_000), np.arange(30_000, 90_000)
    merged = merge(profile(one), profile(other))

    assert merged.distinct_estimate == pytest.approx(90_000, rel=0.1)
    assert merged.numbers.quantiles[3] == pytest.approx(45_000, rel=0.15)
    texts = merge(profile(["a", "a"]), profile(["a", "bcd", "bcd", "bcd"]))
    assert tops(texts) == [("bcd", 3), ("a", 2)]
    assert (texts.texts.min_length, texts.texts.max_length) == (1, 3)


def test_profiles_that_cannot_be_merged() -> None:
    with pytest.raises(ValueError, match="same kind"):
        merge(profile([1, 2]), profile(["a"]))
    bare = profile([1, 2])
    bare.ClearField("quantile_sketch")
    with pytest.raises(ValueError, match="without sketches"):
        merge(bare, profile([1, 2]))


@pytest.mark.parametrize("count", [3, 190, 260, 1500, 5000, 200_000])
def test_the_sketches_are_those_of_the_library_fed_with_every_value(count: int) -> None:
    values = np.random.default_rng(count).normal(size=count)
    seen = profile(values)
    own = datasketches.hll_sketch(11, datasketches.tgt_hll_type.HLL_8)
    for value in values.tolist():
        own.update(value)
    union = datasketches.hll_union(11)
    union.update(own)
    union.update(own)

    assert seen.distinct_estimate == pytest.approx(union.get_estimate())
    assert datasketches.kll_doubles_sketch.deserialize(seen.quantile_sketch).n == count


def test_profiles_stay_small() -> None:
    rng = np.random.default_rng(3)
    table = {
        "numbers": np.concatenate([rng.normal(size=900_000), rng.integers(0, 9, 100_000) / 7]),
        "texts": [chr(0x10000 + n % 15) * 500 for n in range(10_000)],
        "cents": pa.array([decimal.Decimal(n % 99_991).scaleb(-2) for n in range(100_000)] * 2),
    }
    for name, values in table.items():
        assert profile(values).ByteSize() <= 4096, name
    for top in profile(table["texts"]).top_values:
        assert len(top.value) == 64


column_values = st.one_of(
    st.lists(
        st.text(max_size=3) | st.text().map(lambda text: text * 1000), min_size=1, max_size=30
    ),
    st.lists(st.binary(max_size=70).map(lambda data: data * 9), min_size=1, max_size=30),
    st.lists(st.floats(), min_size=1, max_size=300),
    st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=300),
    st.lists(st.decimals(allow_nan=False, allow_infinity=False, places=9), min_size=1, max_size=30),
    st.lists(st.dates(), min_size=1, max_size=30),
)


@given(column_values, st.integers(1, 3))
def test_no_profile_is_larger_than_4_kb(values: list[Any], times: int) -> None:
    seen = profile(values * times)

    assert seen.ByteSize() <= 4096
    assert all(len(top.value) <= 64 and "\0" not in top.value for top in seen.top_values)
    if seen.distinct_sketch:
        assert merge(seen, seen).ByteSize() <= 4096


def test_long_texts_with_one_beginning_are_different_texts() -> None:
    longs = ["a" * 1000 + end for end in ("x", "y", "y")]

    assert tops(profile(longs)) == [("a" * 64, 2)]
    assert tops(profile(longs * 2)) == [("a" * 64, 4), ("a" * 64, 2)]
    assert profile(longs).distinct_estimate == pytest.approx(2, abs=0.01)


def test_quantiles_of_many_numbers_are_right_to_3_percent() -> None:
    # In order, and with a period: what is drawn from them must be no regular part of them.
    values = np.arange(400_000.0)
    values[::8] = 1e6
    seen = profile(values)
    ranks = [np.mean(values <= quantile) for quantile in seen.numbers.quantiles[:5]]

    assert ranks == pytest.approx([0.01, 0.05, 0.25, 0.5, 0.75], abs=0.03)
    assert list(seen.numbers.quantiles[5:]) == [1e6, 1e6]


@pytest.mark.parametrize(
    ("most", "said", "gone"),
    [
        (10**9, "", set()),
        (200_000, "without their sketches, which", {"quantile_sketch", "distinct_sketch"}),
        (
            100_000,
            "without their sketches and top values, which",
            {"quantile_sketch", "distinct_sketch", "top_values"},
        ),
    ],
)
def test_profiles_of_many_columns_lose_what_does_not_fit_into_a_message(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    most: int,
    said: str,
    gone: set[str],
) -> None:
    monkeypatch.setattr(dataset_reading, "_MOST_PROFILE_BYTES", most)
    wide = np.random.default_rng(4).normal(size=(500, 500)).round(1)
    use = describe_dataset(wide, name="wide")
    seen = profiles_of(use)

    assert len(seen) == 500
    assert all(p.numbers.finite_count == 500 for p in seen.values())
    bulky = {"quantile_sketch", "distinct_sketch", "top_values"}
    left = {field.name for p in seen.values() for field, _ in p.ListFields()}
    assert bulky - left == gone
    assert said in caplog.text


def test_ten_thousand_columns_all_have_profiles_that_servers_take() -> None:
    rng = np.random.default_rng(4)
    texts = pa.array(["long" * 30, "same" * 30, "long" * 30, "same" * 30] * 5)
    columns = {
        str(index): texts if index % 2 else rng.normal(size=20).round(1) for index in range(10_000)
    }
    use = describe_dataset(columns, name="wide")

    assert len(profiles_of(use)) == 10_000
    assert dataset_message(use).ByteSize() < 4 * 1024 * 1024


def test_a_profile_survives_the_record() -> None:
    use = describe_dataset({"c": [1, 2]}, name="data")

    assert decode(*encode(use)) == use
    assert dataset_message(use).columns[0].profile == profiles_of(use)["c"]


def test_no_profile_leaves_the_machine_when_none_is_wanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wanted = describe_dataset({"c": [1, 2]}, name="data")
    unwanted = describe_dataset({"c": [1, 2]}, name="data", profile=False)
    assert profiles_of(wanted)
    assert not profiles_of(unwanted)
    assert unwanted.digest == wanted.digest

    monkeypatch.setenv("STUDBOOK_DATASET_PROFILE", "off")
    assert not profiles_of(describe_dataset({"c": [1, 2]}, name="data"))
    assert profiles_of(describe_dataset({"c": [1, 2]}, name="data", profile=True))


@pytest.fixture
def without_library(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "datasketches" else found(name)
    )
    dataset_reading.can_profile.cache_clear()
    yield
    dataset_reading.can_profile.cache_clear()


@pytest.mark.usefixtures("without_library")
def test_without_the_library_the_remedy_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "studbook"):
        uses = [describe_dataset({"c": [1, 2]}, name="data") for _ in range(3)]

    assert not any(profiles_of(use) for use in uses)
    assert [r.message for r in caplog.records if "studbook[profile]" in r.message] == [
        caplog.records[0].message
    ]


def test_names_that_the_contract_cannot_hold_are_shown_otherwise() -> None:
    names = ("", "n" * 300, "\udcff\0")
    columns = describe_dataset({key: [1] for key in names}, name="data").columns

    assert columns[0].name == "(no name)"
    assert len(columns[1].name) == 256
    assert columns[2].name == "?\N{REPLACEMENT CHARACTER}"


@given(
    seed=st.integers(0, 10**6),
    different=st.integers(1, 3000),
    parts=st.integers(1, 5),
    as_text=st.booleans(),
)
@settings(max_examples=40)
def test_no_value_is_more_frequent_than_the_profile_allows(
    seed: int, different: int, parts: int, as_text: bool
) -> None:
    values = np.random.default_rng(seed).integers(0, different, 4000)
    shown = values.astype(str) if as_text else values
    seen = profile(shown[: 4000 // parts])
    for part in range(1, parts):
        seen = merge(seen, profile(shown[part * 4000 // parts : (part + 1) * 4000 // parts]))
    listed = dict(tops(seen))
    rest = min(listed.values()) if len(listed) == 10 else 1
    known, counts = np.unique(values, return_counts=True)
    for value, count in zip(known.tolist(), counts.tolist(), strict=True):
        assert listed.get(str(value), 0) <= count
        assert count <= listed.get(str(value), rest) + seen.top_value_error
