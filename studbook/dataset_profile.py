"""What the columns of a dataset look like, in at most 4096 bytes each.

A profile is built in the same pass in which a table is hashed, and is a `ColumnProfile` of the
contract. Needs `pip install studbook[profile]`; docs/datasets.md says what a profile reveals.
"""

from __future__ import annotations

import base64
from collections import Counter
from typing import TYPE_CHECKING

from studbook.tracking.v1 import dataset_pb2

try:
    from studbook.column_profilers import number_message, within_limit
    from studbook.column_sketches import Moments, QuantileSketch, merged_distinct
    from studbook.frequent_values import MOST_TOP_VALUES, most_frequent
except ModuleNotFoundError as error:
    _message = f"Profiles of columns take {error.name}: `pip install 'studbook[profile]'`."
    raise ModuleNotFoundError(_message, name=error.name) from error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studbook.run_records import DatasetUse
    from studbook.tracking.v1.dataset_pb2 import ColumnProfile, NumberProfile


def profiles_of(use: DatasetUse) -> dict[str, ColumnProfile]:
    """The profiles that `use_dataset` recorded, by name of the column.

    Of columns with the same name the last one counts.
    """
    return {
        column.name: dataset_pb2.ColumnProfile.FromString(base64.b64decode(column.profile))
        for column in use.columns
        if column.profile
    }


def merge(one: ColumnProfile, other: ColumnProfile) -> ColumnProfile:
    """The profile of the rows of two tables, from those of a column in each.

    Smallest, largest, mean and deviation are what a single pass would give. Estimates are as good
    as those of a single pass. The counts of top values stay lower bounds.

    Args:
        one: Profile of some rows.
        other: Profile of other rows of a column of the same kind.

    Raises:
        ValueError: When one is of numbers and the other of texts, or when a profile has no
            sketches.
    """
    _check(one, other)
    distinct, sketch = merged_distinct(one.distinct_sketch, other.distinct_sketch)
    merged = dataset_pb2.ColumnProfile(
        distinct_estimate=distinct,
        nan_count=one.nan_count + other.nan_count,
        texts=_texts((one, other)),
        top_values=_top_values((one, other)),
        top_value_error=_top_value_error(one, other),
        distinct_sketch=sketch,
    )
    if one.quantile_sketch:
        _merge_numbers(merged, one, other)
    return within_limit(merged)


def _check(one: ColumnProfile, other: ColumnProfile) -> None:
    for profile in (one, other):
        if not profile.distinct_sketch or (
            profile.HasField("numbers") and not profile.quantile_sketch
        ):
            message = (
                "A profile without sketches cannot be merged: they were left out, because the "
                "dataset has so many columns. Describe the whole dataset instead."
            )
            raise ValueError(message)
    if bool(one.quantile_sketch) != bool(other.quantile_sketch):
        message = "One profile is of numbers, the other of texts; only the same kind can be merged."
        raise ValueError(message)


def _texts(profiles: Iterable[ColumnProfile]) -> dataset_pb2.TextProfile | None:
    present = [profile.texts for profile in profiles if profile.HasField("texts")]
    if not present:
        return None
    return dataset_pb2.TextProfile(
        min_length=min(texts.min_length for texts in present),
        max_length=max(texts.max_length for texts in present),
    )


def _top_values(profiles: Iterable[ColumnProfile]) -> list[dataset_pb2.TopValue]:
    counts: Counter[str] = Counter()
    for profile in profiles:
        for top in profile.top_values:
            counts[top.value] += top.count
    return [dataset_pb2.TopValue(value=value, count=n) for value, n in most_frequent(counts)]


def _top_value_error(one: ColumnProfile, other: ColumnProfile) -> int:
    """How much more often a value may occur than the lists of both say."""
    unlisted = [_most_unlisted(profile) for profile in (one, other)]
    errors = [one.top_value_error, other.top_value_error]
    listed = [{top.value for top in profile.top_values} for profile in (one, other)]
    of_both = [sum(errors)] if listed[0] & listed[1] else []
    of_one = [errors[0] + unlisted[1]] if listed[0] - listed[1] else []
    of_other = [errors[1] + unlisted[0]] if listed[1] - listed[0] else []
    merged = _top_values((one, other))
    rest = merged[-1].count if len(merged) >= MOST_TOP_VALUES else 1
    return max(0, sum(unlisted) - rest, *of_both, *of_one, *of_other)


def _most_unlisted(profile: ColumnProfile) -> int:
    """How often a value that is not listed occurs, at most."""
    full = len(profile.top_values) >= MOST_TOP_VALUES
    return profile.top_value_error + (profile.top_values[-1].count if full else 1)


def _merge_numbers(merged: ColumnProfile, one: ColumnProfile, other: ColumnProfile) -> None:
    quantiles = QuantileSketch(one.quantile_sketch)
    quantiles.merge(QuantileSketch(other.quantile_sketch))
    moments = Moments()
    for profile in (one, other):
        if profile.HasField("numbers"):
            _add(moments, profile.numbers)
    numbers = number_message(moments, quantiles)
    if numbers is not None:
        merged.numbers.CopyFrom(numbers)
    merged.quantile_sketch = quantiles.serialised()


def _add(moments: Moments, numbers: NumberProfile) -> None:
    moments.least = min(moments.least, numbers.min)
    moments.largest = max(moments.largest, numbers.max)
    squares = numbers.standard_deviation * numbers.standard_deviation * numbers.finite_count
    moments.add_summary(numbers.finite_count, numbers.mean, squares)
