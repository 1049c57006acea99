"""Which parts of runs a caller wants to read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service_chassis.errors import invalid_field, quote
from service_chassis.filter_text import Scanner, not_text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from service_chassis.errors import StudbookError

MOST_PATHS = 256
# Those of the contract's `Run`.
_FIELDS = frozenset(
    {
        "name", "uid", "display_name", "description", "state", "state_reason", "creator",
        "start_time", "end_time", "create_time", "update_time", "delete_time", "etag", "params",
        "tags", "metrics", "dataset_inputs", "environment", "code", "heartbeat_time", "exit_code",
        "signal",
    }
)  # fmt: skip
_KEYED = frozenset({"params", "tags", "metrics"})


@dataclass(frozen=True, slots=True)
class RunView:
    """Parts of runs: fields of a run and, of those that hold entries by key, which entries.

    Attributes:
        fields: The wanted fields.
        keys: The wanted keys by field; of fields that are not in it, all entries are wanted.
    """

    fields: frozenset[str]
    keys: Mapping[str, frozenset[str]]

    def wants(self, field: str) -> bool:
        """Whether anything of a field is wanted."""
        return field in self.fields

    @property
    def unwanted(self) -> frozenset[str]:
        """The fields of which nothing is wanted."""
        return _FIELDS - self.fields


EVERYTHING = RunView(_FIELDS, {})
WITHOUT_METRICS = RunView(_FIELDS - {"metrics", "heartbeat_time"}, {})


def read_view(paths: Sequence[str]) -> RunView:
    """The parts that a `read_mask` names; everything when it names nothing.

    Raises:
        StudbookError: FIELD_INVALID for a path that names no part of a run.
    """
    if not paths:
        return EVERYTHING
    if len(paths) > MOST_PATHS:
        raise invalid_field("read_mask", str(len(paths)), f"name at most {MOST_PATHS} paths")
    fields: set[str] = {"name"}
    keys: dict[str, set[str]] = {}
    whole: set[str] = set()
    for path in paths:
        field, key = _parts(path)
        fields.add(field)
        if key is None:
            whole.add(field)
        else:
            keys.setdefault(field, set()).add(key)
    named = {field: frozenset(found) for field, found in keys.items() if field not in whole}
    return RunView(frozenset(fields), named)


def _parts(path: str) -> tuple[str, str | None]:
    def refusal(_position: int, problem: str) -> StudbookError:
        return invalid_field("read_mask", path, f'{problem}; write metrics.loss or metrics."a b"')

    if not_text(path) is not None:
        raise invalid_field("read_mask", path, "leave out the NUL character")
    scanner = Scanner(path, refusal)
    field, *rest = scanner.path()
    if not scanner.at_end() or len(rest) > 1 or (rest and field not in _KEYED):
        remedy = "name a field of a run, or one entry as in params.lr, tags.team, metrics.loss"
        raise invalid_field("read_mask", path, remedy)
    if field not in _FIELDS:
        known = ", ".join(sorted(_FIELDS))
        raise invalid_field(
            "read_mask", path, f"runs have no field {quote(field)}; they have {known}"
        )
    return field, rest[0] if rest else None
