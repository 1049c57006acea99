"""What `studbook run ls` has to read of each run to fill its columns."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from studbook.cli.run_columns import Column

# Columns of the run itself whose names are not those of the fields.
_FIELDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "run": ("name",),
        "name": ("display_name",),
        "started": ("start_time",),
        "ended": ("end_time",),
        "duration": ("start_time", "end_time", "heartbeat_time"),
        "heartbeat": ("heartbeat_time",),
        "created": ("create_time",),
        "updated": ("update_time",),
        "deleted": ("delete_time",),
        "commit": ("code",),
        "datasets": ("dataset_inputs",),
    }
)
_KEYED = frozenset({"params", "tags", "metrics"})
# More paths than this are no mask that a server takes.
_MOST_PATHS = 256


def read_mask(columns: Iterable[Column]) -> list[str]:
    """The paths of a `read_mask` for these columns; none, to read all, when they are too many."""
    paths = dict.fromkeys(path for column in columns for path in _paths(column))
    return list(paths) if len(paths) <= _MOST_PATHS else []


def _paths(column: Column) -> Iterable[str]:
    if not column.group:
        return _FIELDS.get(column.key, (column.key,))
    if column.group not in _KEYED:
        return _FIELDS.get(column.group, (column.group,))
    if "*" in column.key and not column.exact:
        return (column.group,)
    keys = {column.key}
    if column.group == "metrics" and not column.exact:
        # `loss.min` may be a metric of that name, or the smallest value of `loss`.
        keys.add(column.key.rpartition(".")[0] or column.key)
    return sorted(f"{column.group}.{_quoted(key)}" for key in keys)


def _quoted(key: str) -> str:
    escaped = key.replace("\\", "\\\\")
    return f'"{escaped}"'
