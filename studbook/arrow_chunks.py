"""Arrow arrays in the canonical form of `table/v1`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from studbook.dataset_tables import Chunk, ColumnType, Fixed, Nested, Variable
from studbook.decimal_text import canonical_decimal
from studbook.value_columns import moments, unsupported

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

is_type = pa.types

_LISTS = (
    is_type.is_list,
    is_type.is_large_list,
    is_type.is_fixed_size_list,
    is_type.is_list_view,
    is_type.is_large_list_view,
)
_TEXTS = (is_type.is_string, is_type.is_large_string, is_type.is_string_view)
_BINARIES = (
    is_type.is_binary,
    is_type.is_large_binary,
    is_type.is_fixed_size_binary,
    is_type.is_binary_view,
)


def column_type(name: str, kind: pa.DataType) -> ColumnType:
    """What a column of an Arrow type is.

    Raises:
        TypeError: When the type has no canonical form.
    """
    kind = _content_type(kind)
    if isinstance(kind, pa.FixedShapeTensorType):
        shape = ", ".join(map(str, kind.shape))
        text = f"fixed_shape_tensor[value_type={_tensor_value(name, kind)}, shape=[{shape}]]"
        return ColumnType(name, text, text)
    if isinstance(kind, pa.BaseExtensionType):
        return column_type(name, kind.storage_type)
    if is_type.is_map(kind):
        key, value = column_type("key", kind.key_type), column_type("value", kind.item_type)
        entry = ColumnType("", "struct", "struct", (key, value))
        return ColumnType(name, f"map<{key.shown}, {value.shown}>", "list", (entry,))
    if _is_list(kind):
        item = column_type("", kind.value_type)
        return ColumnType(name, f"list<{item.shown}>", "list", (item,))
    if is_type.is_struct(kind):
        parts = tuple(column_type(kind[i].name, kind[i].type) for i in range(kind.num_fields))
        shown = ", ".join(f"{part.name}: {part.shown}" for part in parts)
        return ColumnType(name, f"struct<{shown}>", "struct", parts)
    shown, canonical = _plain_type(name, kind)
    return ColumnType(name, shown, canonical)


def _content_type(kind: pa.DataType) -> pa.DataType:
    """The type of the values: that they are stored as numbers or as runs is no content."""
    while is_type.is_dictionary(kind) or is_type.is_run_end_encoded(kind):
        kind = kind.value_type
    return kind


def _is_list(kind: pa.DataType) -> bool:
    return any(test(kind) for test in _LISTS)


def _is_text(kind: pa.DataType) -> bool:
    return any(test(kind) for test in _TEXTS)


def _is_binary(kind: pa.DataType) -> bool:
    return any(test(kind) for test in _BINARIES)


# Asked in this order: a decimal number is bytes of a fixed width to Arrow, too.
_CANONICAL: tuple[tuple[Callable[[pa.DataType], bool], str], ...] = (
    (_is_text, "string"),
    (is_type.is_decimal, "decimal"),
    (_is_binary, "binary"),
    (is_type.is_timestamp, "timestamp"),
    (is_type.is_time, "time"),
    (is_type.is_duration, "duration"),
    (is_type.is_date, "date32"),
    (is_type.is_null, "null"),
)
_SHOWN_WHOLE = frozenset({"decimal", "timestamp", "time", "duration"})


def _plain_type(name: str, kind: pa.DataType) -> tuple[str, str]:
    """The type as shown, and as hashed."""
    if is_type.is_boolean(kind) or is_type.is_integer(kind) or is_type.is_floating(kind):
        return str(kind), str(kind)
    canonical = next((word for test, word in _CANONICAL if test(kind)), None)
    if canonical is None:
        raise unsupported(name, str(kind))
    shown = str(kind) if canonical in _SHOWN_WHOLE else canonical
    if canonical == "timestamp" and kind.tz:
        zone = "UTC" if kind.tz == "+00:00" else kind.tz
        shown, canonical = f"timestamp[{kind.unit}, tz={zone}]", f"timestamp[tz={zone}]"
    return shown, canonical


def _tensor_value(name: str, kind: pa.FixedShapeTensorType) -> str:
    value = kind.value_type
    in_order = kind.permutation is None or list(kind.permutation) == sorted(kind.permutation)
    if not in_order or not (is_type.is_integer(value) or is_type.is_floating(value)):
        raise unsupported(name, str(kind))
    return str(value)


def chunk_of(array: pa.Array) -> Chunk:
    """The rows of an array. Its type is one that `column_type` takes."""
    array = _content(array)
    kind = array.type
    if isinstance(kind, pa.FixedShapeTensorType):
        return _tensors(array)
    if is_type.is_nested(kind):
        return _nested(array)
    if is_type.is_null(kind):
        return Variable.of([None] * len(array))
    if is_type.is_decimal(kind):
        return _decimals(array)
    if _is_text(kind) or _is_binary(kind):
        return _variable(array)
    return Fixed(_fixed_values(array), _valid(array))


def _content(array: pa.Array) -> pa.Array:
    """The values themselves, where they are stored as numbers, as runs or under another name."""
    while True:
        kind = array.type
        if is_type.is_dictionary(kind):
            array = _wide(array.dictionary).take(array.indices)
        elif is_type.is_run_end_encoded(kind):
            runs = pa.RunEndEncodedArray.from_arrays(array.run_ends, _wide(_content(array.values)))
            array = pc.run_end_decode(runs.slice(array.offset, len(array)))
        elif isinstance(kind, pa.BaseExtensionType) and not isinstance(
            kind, pa.FixedShapeTensorType
        ):
            array = array.storage
        else:
            return array


def _nested(array: pa.Array) -> Nested:
    if is_type.is_struct(array.type):
        return Nested(len(array), _valid(array), None, tuple(map(chunk_of, array.flatten())))
    return _lists(array)


def _valid(array: pa.Array) -> NDArray[np.bool_] | None:
    if not array.null_count:
        return None
    valid: NDArray[np.bool_] = np.asarray(array.is_valid())
    return valid


def _fixed_values(array: pa.Array) -> NDArray[Any]:
    kind = array.type
    if is_type.is_boolean(kind):
        return _raw(array.cast(pa.uint8()), np.dtype("|u1")).view(np.bool_)
    if is_type.is_date64(kind):
        return _days(array)
    if is_type.is_date32(kind):
        return _raw(array, np.dtype("<i4"))
    if is_type.is_time32(kind):
        return moments(_raw(array, np.dtype("<i4")).astype("<i8"), kind.unit)
    if is_type.is_temporal(kind):
        return moments(_raw(array, np.dtype("<i8")), kind.unit)
    return _raw(array, np.dtype(kind.to_pandas_dtype()).newbyteorder("<"))


def _days(array: pa.Array) -> NDArray[Any]:
    try:
        return _raw(array.cast(pa.date32()), np.dtype("<i4"))
    except pa.ArrowInvalid:
        message = "It has a date64 that is no whole day, or beyond 32 bits."
        raise TypeError(message) from None


def _raw(array: pa.Array, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values as they lie in memory; rows without a value hold anything."""
    buffer = array.buffers()[1]
    if buffer is None or not len(array):
        return np.zeros(len(array), dtype=dtype)
    whole = np.frombuffer(buffer, dtype=dtype, count=array.offset + len(array))
    return whole[array.offset :]


def _variable(array: pa.Array) -> Variable:
    if is_type.is_fixed_size_binary(array.type):
        array = array.cast(pa.binary())
    wide = _wide(array)
    valid = _valid(wide)
    # A row without a value may have bytes all the same, which nobody sees.
    present = wide.drop_null() if valid is not None else wide
    lengths = np.zeros(len(wide), dtype="<u8")
    data: bytes | memoryview = b""
    if len(present):
        offsets = _offsets(present)
        lengths[slice(None) if valid is None else valid] = np.diff(offsets)
        if present.buffers()[2] is not None:
            data = memoryview(present.buffers()[2])[int(offsets[0]) : int(offsets[-1])]
    return Variable(lengths, data, valid, _counter(present))


def _wide(array: pa.Array) -> pa.Array:
    """Texts and bytes in the one form that Arrow can do everything with; others as they are."""
    if _is_text(array.type):
        return array.cast(pa.large_string())
    is_plain = not _is_binary(array.type) or is_type.is_fixed_size_binary(array.type)
    return array if is_plain else array.cast(pa.large_binary())


def _offsets(array: pa.Array) -> NDArray[np.int64]:
    whole = np.frombuffer(array.buffers()[1], dtype="<i8", count=array.offset + len(array) + 1)
    return whole[array.offset :]


def _counter(present: pa.Array) -> Callable[[], dict[bytes, int]]:
    def count() -> dict[bytes, int]:
        counts = pc.value_counts(present.cast(pa.large_binary()))
        values, numbers = counts.field("values").to_pylist(), counts.field("counts").to_pylist()
        return dict(zip(values, numbers, strict=True))

    return count


def _decimals(array: pa.Array) -> Variable:
    return Variable.of(
        [None if value is None else canonical_decimal(value) for value in array.to_pylist()]
    )


def _lists(array: pa.Array) -> Nested:
    kind = array.type
    if is_type.is_map(kind):
        # The names of the two fields are a matter of the writer.
        entry = [pa.field("key", kind.key_type, nullable=False), ("value", kind.item_type)]
        array = array.cast(pa.list_(pa.struct(entry)))
    lengths = pc.list_value_length(array).fill_null(0)
    items = chunk_of(array.flatten())
    return Nested(len(array), _valid(array), np.asarray(lengths).astype("<u8"), (items,))


def _tensors(array: pa.Array) -> Fixed:
    kind = array.type
    valid = _valid(array)
    size = int(np.prod(kind.shape))
    values = np.zeros((len(array), size), dtype=kind.value_type.to_pandas_dtype())
    elements = array.storage.drop_null().flatten()
    if elements.null_count:
        message = "It has tensors some of whose elements are missing."
        raise TypeError(message)
    rows = _raw(elements, values.dtype).reshape(len(array) - array.null_count, size)
    values[slice(None) if valid is None else valid] = rows
    return Fixed(values, valid)
