"""A run's parameters as its user sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from studbook.logged_values import params_of
from studbook.run_records import ParamValue

_MOST_A_RECORD = 500


class RunConfig(Mapping[str, ParamValue]):
    """The parameters of a run, flattened with dots. Can be added to, never changed.

    Args:
        record: Writes new parameters down.
        warn: Tells the user about a change that is not made.
    """

    def __init__(
        self, record: Callable[[dict[str, ParamValue]], None], warn: Callable[[str], None]
    ) -> None:
        self._values: dict[str, ParamValue] = {}
        self._record = record
        self._warn = warn

    def update(self, values: Any) -> None:
        """Add parameters from a mapping, `argparse.Namespace` or dataclass.

        Raises:
            NotLoggable: When it is none of these, or has a key that cannot be recorded.
        """
        new = {}
        for key, value in params_of(values).items():
            known = self._values.get(key)
            if key not in self._values:
                new[key] = value
            elif (type(known), repr(known)) != (type(value), repr(value)):
                self._warn(f"the parameter {key} is {known!r} and stays so; {value!r} is ignored")
        names = list(new)
        for first in range(0, len(names), _MOST_A_RECORD):
            self._record({name: new[name] for name in names[first : first + _MOST_A_RECORD]})
        self._values.update(new)

    def __setitem__(self, key: str, value: Any) -> None:
        self.update({key: value})

    def __getitem__(self, key: str) -> ParamValue:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"RunConfig({self._values!r})"
