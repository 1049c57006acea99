"""Resource names: how they are written, read and checked."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from service_chassis.errors import StudbookError, invalid_field, required_field

if TYPE_CHECKING:
    from collections.abc import Collection

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
# Segments whose form the domain checks, such as version numbers: anything without `/` or spaces.
_UNCHECKED = re.compile(r"[!-.0-~]{1,128}")
_ID_REMEDY = "give 1 to 128 of a-z 0-9 - _ . beginning with a letter or digit"

ANY = "-"
# No name that any collection has is as long. Longer ones are not even looked at: what patterns were
# held against is remembered.
LONGEST_NAME = 1024


def check_length(name: str, field: str) -> None:
    """Refuse a text that is far too long for a resource name, or for a pattern of such.

    Raises:
        StudbookError: RESOURCE_NAME_INVALID.
    """
    if len(name) > LONGEST_NAME:
        raise invalid_field(
            field,
            name,
            f"it has {len(name)} characters; names have at most {LONGEST_NAME}",
            reason="RESOURCE_NAME_INVALID",
        )


def check_id(value: str, field: str) -> str:
    """Return an id that a caller chose, the last segment of a name.

    Raises:
        StudbookError: FIELD_REQUIRED or FIELD_INVALID.
    """
    if not value:
        raise required_field(field, _ID_REMEDY)
    if not _ID.fullmatch(value):
        raise invalid_field(field, value, _ID_REMEDY)
    return value


class NamePattern:
    """The form of the names of one collection.

    Args:
        template: The form, with the variables in braces.
        unchecked: Variables whose form is checked elsewhere, such as SemVer numbers.
    """

    def __init__(self, template: str, *, unchecked: Collection[str] = ()) -> None:
        self.template = template
        self._segments = template.split("/")
        self._unchecked = frozenset(unchecked)

    def parse(
        self, value: str, field: str = "name", *, any_of: Collection[str] = ()
    ) -> dict[str, str]:
        """Split a name into its ids.

        Args:
            value: The name.
            field: The request field it came in, for the error.
            any_of: Variables that may be `-`, which stands for all of a collection.

        Raises:
            StudbookError: FIELD_REQUIRED when empty, otherwise RESOURCE_NAME_INVALID.
        """
        if not value:
            raise required_field(field, f"give a name of the form {self.template}")
        segments = value.split("/")
        if len(segments) != len(self._segments):
            raise self._refusal(field, value)
        ids = {}
        for expected, found in zip(self._segments, segments, strict=True):
            if not expected.startswith("{"):
                if found != expected:
                    raise self._refusal(field, value)
                continue
            variable = expected[1:-1]
            if not (self._fits(variable, found) or (found == ANY and variable in any_of)):
                raise self._refusal(field, value)
            ids[variable] = found
        return ids

    def matches(self, value: str) -> bool:
        """Whether a text is a name of this form."""
        segments = value.split("/")
        return len(segments) == len(self._segments) and all(
            self._fits(expected[1:-1], found) if expected.startswith("{") else expected == found
            for expected, found in zip(self._segments, segments, strict=True)
        )

    def format(self, **ids: str) -> str:
        """The name for ids that were checked before."""
        return self.template.format(**ids)

    def _fits(self, variable: str, segment: str) -> bool:
        form = _UNCHECKED if variable in self._unchecked else _ID
        return form.fullmatch(segment) is not None

    def _refusal(self, field: str, value: str) -> StudbookError:
        return invalid_field(
            field,
            value,
            f"the form is {self.template}",
            reason="RESOURCE_NAME_INVALID",
            pattern=self.template,
        )


WORKSPACE = NamePattern("workspaces/{workspace}")
EXPERIMENT = NamePattern("workspaces/{workspace}/experiments/{experiment}")
RUN = NamePattern("workspaces/{workspace}/experiments/{experiment}/runs/{run}")
DATASET = NamePattern("workspaces/{workspace}/datasets/{dataset}")
DATASET_VERSION = NamePattern("workspaces/{workspace}/datasets/{dataset}/versions/{version}")
MODEL = NamePattern("workspaces/{workspace}/models/{model}")
MODEL_VERSION = NamePattern(
    "workspaces/{workspace}/models/{model}/versions/{version}", unchecked={"version"}
)
ALIAS = NamePattern("workspaces/{workspace}/models/{model}/aliases/{alias}")
TRANSITION = NamePattern("workspaces/{workspace}/models/{model}/transitions/{transition}")
TRANSITION_REQUEST = NamePattern("workspaces/{workspace}/models/{model}/requests/{request}")
POLICY = NamePattern("workspaces/{workspace}/policies/{policy}")
WEBHOOK = NamePattern("workspaces/{workspace}/webhooks/{webhook}")
