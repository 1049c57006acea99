"""Names of aliases, and what cannot be one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from registry_service.records import Stage
from service_chassis.errors import invalid_field
from service_chassis.resource_names import ALIAS, MODEL

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST_PROTECTED = 64
# Always names the version that was in Production before the present one, and is not to be had.
PREVIOUS = "previous"

_ALIAS = re.compile(r"[a-z][a-z0-9._-]{0,63}")
_LIKE_A_NUMBER = re.compile(r"v\d.*|x(\..*)?")
_RESERVED = frozenset({stage.name.lower() for stage in Stage}) | {
    # What people would take for the highest number, and `register` for a number yet to be given.
    *("latest", PREVIOUS, "next-patch", "next-minor", "next-major")
}


@dataclass(frozen=True, slots=True)
class AliasName:
    """The name of an alias, taken apart."""

    model: str
    alias: str

    def __str__(self) -> str:
        ids = MODEL.parse(self.model)
        return ALIAS.format(**ids, alias=self.alias)


def check_alias(alias: str, field: str) -> str:
    """Return what can be an alias.

    Raises:
        StudbookError: FIELD_INVALID.
    """
    if not _ALIAS.fullmatch(alias):
        remedy = "give 1 to 64 of a-z 0-9 - _ . beginning with a letter"
    elif alias in _RESERVED:
        remedy = "that word has another meaning behind the @; choose another"
    elif _LIKE_A_NUMBER.fullmatch(alias):
        remedy = "it could be taken for a version number; choose another word"
    else:
        return alias
    raise invalid_field(field, alias, remedy)


def parse_alias_name(value: str, field: str = "name") -> AliasName:
    """Read the name of an alias.

    Raises:
        StudbookError: FIELD_REQUIRED, RESOURCE_NAME_INVALID or FIELD_INVALID.
    """
    ids = ALIAS.parse(value, field)
    alias = check_alias(ids["alias"], field)
    return AliasName(MODEL.format(workspace=ids["workspace"], model=ids["model"]), alias)


def check_protected(aliases: Sequence[str], field: str) -> tuple[str, ...]:
    """The aliases that a model is to protect, each once, in alphabetical order.

    Raises:
        StudbookError: FIELD_INVALID.
    """
    found = {check_alias(alias, f"{field}[{place}]") for place, alias in enumerate(aliases)}
    if len(found) > MOST_PROTECTED:
        raise invalid_field(field, f"{len(found)} aliases", f"give at most {MOST_PROTECTED}")
    return tuple(sorted(found))
