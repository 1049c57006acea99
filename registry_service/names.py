"""Names of models and versions."""

from __future__ import annotations

from dataclasses import dataclass

from registry_service.version_numbers import VersionNumber, parse_number
from service_chassis.errors import invalid_field
from service_chassis.resource_names import MODEL, MODEL_VERSION, TRANSITION

# What callers write for "no version is in Production".
NO_VERSION = "none"


@dataclass(frozen=True, slots=True)
class VersionName:
    """The name of a version, taken apart."""

    model: str
    number: VersionNumber

    def __str__(self) -> str:
        return f"{self.model}/versions/{self.number}"


def parse_version_name(value: str, field: str = "name") -> VersionName:
    """Read the name of a version.

    Raises:
        StudbookError: FIELD_REQUIRED, RESOURCE_NAME_INVALID, or VERSION_INVALID for its number.
    """
    ids = MODEL_VERSION.parse(value, field)
    number = parse_number(ids["version"], field)
    return VersionName(MODEL.format(workspace=ids["workspace"], model=ids["model"]), number)


def parse_expected_production(value: str, model: str) -> str | None:
    """Read `expected_production`: a version's name, empty for none, None when not to be checked.

    Raises:
        StudbookError: The name is malformed, or that of another model's version.
    """
    field = "expected_production"
    if not value:
        return None
    if value == NO_VERSION:
        return ""
    name = parse_version_name(value, field)
    if name.model != model:
        raise invalid_field(field, value, f"it must be a version of {model}, or {NO_VERSION}")
    return value


def transition_name(model: str, position: int) -> str:
    """The name of a transition, by the position of its ledger entry."""
    ids = MODEL.parse(model)
    return TRANSITION.format(**ids, transition=str(position))
