"""Which values a sketch of different values has seen, read without the library that made it.

As with `sketch_ranks`, bytes are not trusted. A sketch never says for sure that a value was there,
but often that it was not.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The portable form of an HLL sketch, as Apache DataSketches writes it.
_FAMILY = 7
_LIST, _SET, _REGISTERS = 0, 1, 2
_FIRST_COUPON = {_LIST: 8, _SET: 12}
_FIRST_REGISTER = 40
_PLACE_BITS = 26
_MOST_LOG_REGISTERS = 15
# In half a byte there is no room for larger ones, which follow by themselves.
_ELSEWHERE = 15
_LARGEST = 62
_SEED = 9001
_MASK = 2**64 - 1


@dataclass(frozen=True)
class SeenValues:
    """Different values, as far as a sketch remembers them.

    Attributes:
        registers: For each place the largest rank of the values that belong there; 0 for none.
        coupons: Place and rank of each value, as long as they are few; None when they are not.
    """

    registers: NDArray[np.uint8]
    coupons: frozenset[int] | None

    def surely_lacks(self, text: str) -> bool:
        """Whether a text is certainly not among the values."""
        coupon = _coupon(text)
        if self.coupons is not None:
            return coupon not in self.coupons
        place = coupon & (len(self.registers) - 1)
        return int(self.registers[place]) < coupon >> _PLACE_BITS


def read_values(sketch: bytes) -> SeenValues:
    """Read an HLL sketch.

    Raises:
        ValueError: When the bytes are no such sketch.
    """
    if len(sketch) < _FIRST_COUPON[_LIST] or sketch[2] != _FAMILY:
        raise _malformed()
    size = sketch[3]
    mode, target = sketch[7] & 3, sketch[7] >> 2 & 3
    if not 4 <= size <= _MOST_LOG_REGISTERS:
        raise _malformed()
    if mode in _FIRST_COUPON:
        return _few(sketch, mode, size)
    if mode != _REGISTERS or target or len(sketch) < _FIRST_REGISTER + (1 << size - 1):
        raise _malformed()
    return _many(sketch, size)


def _few(sketch: bytes, mode: int, size: int) -> SeenValues:
    first = _FIRST_COUPON[mode]
    count = sketch[6] if mode == _LIST else int.from_bytes(sketch[8:12], "little")
    if len(sketch) < first + 4 * count:
        raise _malformed()
    coupons = np.frombuffer(sketch, "<u4", count, first)
    registers = np.zeros(1 << size, np.uint8)
    _raise(registers, coupons)
    return SeenValues(registers, frozenset(coupons.tolist()))


def _many(sketch: bytes, size: int) -> SeenValues:
    packed = np.frombuffer(sketch, np.uint8, 1 << size - 1, _FIRST_REGISTER)
    halves = np.empty(1 << size, np.uint8)
    halves[0::2], halves[1::2] = packed & 15, packed >> 4
    least = sketch[6]
    registers = np.where(halves == _ELSEWHERE, 0, np.minimum(halves + least, _LARGEST))
    registers = registers.astype(np.uint8)
    rest = sketch[_FIRST_REGISTER + len(packed) :]
    _raise(registers, np.frombuffer(rest[: len(rest) // 4 * 4], "<u4"))
    return SeenValues(registers, None)


def _raise(registers: NDArray[np.uint8], coupons: NDArray[np.uint32]) -> None:
    places = coupons & np.uint32(len(registers) - 1)
    np.maximum.at(registers, places, (coupons >> _PLACE_BITS).astype(np.uint8))


def _malformed() -> ValueError:
    return ValueError("The bytes are no HLL sketch.")


@lru_cache(maxsize=8192)
def _coupon(text: str) -> int:
    """Place and rank of a text: by MurmurHash3 of 128 bits, as the library hashes it."""
    low, high = _murmur_hash(text.encode("utf-8", "surrogatepass") or b"\0")
    leading = 64 - high.bit_length()
    return (low & (1 << _PLACE_BITS) - 1) | (min(leading, _LARGEST) + 1) << _PLACE_BITS


def _murmur_hash(data: bytes) -> tuple[int, int]:
    low = high = _SEED
    one, two = 0x87C37B91114253D5, 0x4CF5AD432745937F
    whole = len(data) // 16 * 16
    for first in range(0, whole, 16):
        left = int.from_bytes(data[first : first + 8], "little")
        right = int.from_bytes(data[first + 8 : first + 16], "little")
        low ^= _turned(left * one, 31) * two & _MASK
        low = ((_turned(low, 27) + high) * 5 + 0x52DCE729) & _MASK
        high ^= _turned(right * two, 33) * one & _MASK
        high = ((_turned(high, 31) + low) * 5 + 0x38495AB5) & _MASK
    rest = data[whole:]
    low ^= _turned(int.from_bytes(rest[:8], "little") * one, 31) * two & _MASK
    high ^= _turned(int.from_bytes(rest[8:], "little") * two, 33) * one & _MASK
    low ^= len(data)
    high ^= len(data)
    low = (low + high) & _MASK
    high = (high + low) & _MASK
    low, high = _mixed(low), _mixed(high)
    low = (low + high) & _MASK
    return low, (high + low) & _MASK


def _turned(value: int, bits: int) -> int:
    value &= _MASK
    return (value << bits | value >> 64 - bits) & _MASK


def _mixed(value: int) -> int:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ value >> 33) * factor & _MASK
    return value ^ value >> 33
