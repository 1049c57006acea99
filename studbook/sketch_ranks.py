"""What a quantile sketch says about ranks, read without the library that made it.

The library's own reader trusts the bytes it is given and can crash the process over forged ones.
Profiles come from whoever may register a dataset, so here every length is checked first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Doubles = NDArray[np.float64]

# The portable form of a KLL sketch of doubles, as Apache DataSketches writes it.
_FAMILY = 15
_EMPTY, _SINGLE = 1, 4
_SHORT_HEAD, _WHOLE_HEAD = 8, 20
_MOST_LEVELS = 61
_NUMBER = np.dtype("<f8")
# How many numbers each one stands for that is kept on a level.
_WEIGHTS = np.left_shift(np.int64(1), np.arange(_MOST_LEVELS, dtype=np.int64))
# The error of a rank is below 2.296 / k^0.9723 in 99 of 100 sketches, says the library.
_ERROR_FACTOR, _ERROR_POWER, _DEVIATIONS_OF_99 = 2.296, 0.9723, 2.5758


@dataclass(frozen=True)
class SketchRanks:
    """Numbers that were kept of a column, and how many each stands for.

    Attributes:
        values: The numbers that were kept, ascending.
        upto: Which share of all numbers the first none, one, two and so on of them stand for.
        count: How many numbers there were.
        effective: How many numbers drawn at random would tell ranks as well as the sketch does:
            fewer than `count` where it had to leave some out.
    """

    values: Doubles
    upto: Doubles
    count: int
    effective: float

    def at_most(self, points: Doubles) -> Doubles:
        """Share of the numbers that are at most as large as each of the points."""
        shares: Doubles = self.upto[np.searchsorted(self.values, points, side="right")]
        return shares


def read_ranks(sketch: bytes) -> SketchRanks | None:
    """Read a KLL sketch of doubles; None when it is empty.

    Raises:
        ValueError: When the bytes are no such sketch.
    """
    if len(sketch) < _SHORT_HEAD or sketch[2] != _FAMILY:
        raise _malformed("it is of another kind")
    size = int.from_bytes(sketch[4:6], "little")
    if sketch[3] & _EMPTY:
        return None
    if sketch[3] & _SINGLE:
        return _ranks(_numbers(sketch, _SHORT_HEAD, 1), np.ones(1, np.int64), 1, size, exact=True)
    return _read_levels(sketch, size)


def _read_levels(sketch: bytes, size: int) -> SketchRanks:
    if len(sketch) < _WHOLE_HEAD:
        raise _malformed("it is cut off")
    count = int.from_bytes(sketch[8:16], "little")
    levels = sketch[18]
    # Least and largest number follow the places at which the levels begin.
    first_number = _WHOLE_HEAD + 4 * levels + 2 * _NUMBER.itemsize
    if not 0 < levels <= _MOST_LEVELS or len(sketch) < first_number or size < 8:
        raise _malformed("its levels cannot be right")
    begins = np.frombuffer(sketch, "<u4", levels, _WHOLE_HEAD).tolist()
    kept = (len(sketch) - first_number) // _NUMBER.itemsize
    ends = [*begins[1:], begins[0] + kept]
    sizes = [end - begin for begin, end in zip(begins, ends, strict=True)]
    if kept < 1 or min(sizes) < 0:
        raise _malformed("its levels cannot be right")
    if sum(held << level for level, held in enumerate(sizes)) != count:
        raise _malformed("it does not add up")
    weights = np.repeat(_WEIGHTS[:levels], sizes)
    return _ranks(_numbers(sketch, first_number, kept), weights, count, size, exact=levels == 1)


def _numbers(sketch: bytes, start: int, count: int) -> Doubles:
    if len(sketch) < start + count * _NUMBER.itemsize:
        raise _malformed("it is cut off")
    numbers = np.frombuffer(sketch, _NUMBER, count, start).astype(np.float64)
    if np.isnan(numbers).any():
        raise _malformed("it holds NaN")
    return numbers


def _ranks(
    numbers: Doubles, weights: NDArray[Any], count: int, size: int, *, exact: bool
) -> SketchRanks:
    order = np.argsort(numbers)
    upto = np.zeros(len(numbers) + 1)
    np.cumsum(weights[order], out=upto[1:])
    upto /= count
    effective = float(count)
    if not exact:
        deviation = _ERROR_FACTOR / size**_ERROR_POWER / _DEVIATIONS_OF_99
        # So many draws miss the middle rank by as much as the sketch does.
        effective = 1 / (1 / count + 4 * deviation * deviation)
    return SketchRanks(numbers[order], upto, count, effective)


def _malformed(why: str) -> ValueError:
    return ValueError(f"The bytes are no KLL sketch of doubles: {why}.")
