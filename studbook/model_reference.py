"""How people write versions and stages: `wine-cultivar@1.2.0`, `wine-cultivar@production`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from studbook.exceptions import InvalidArgument

STAGES = ("none", "staging", "production", "archived")

_MODEL = re.compile(
    r"(?:workspaces/(?P<workspace>[^/@]+)/models/)?(?P<id>[a-z0-9][a-z0-9._-]{0,127})"
)
# As semver.org gives it, less build metadata, which versions of models do not have.
_NUMBER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
)


@dataclass(frozen=True)
class Reference:
    """A model, and which of its versions is meant.

    Attributes:
        model: Id of the model.
        workspace: Id of its workspace; empty: the client's own.
        stage: A stage in lower case; empty when a number is given.
        version: A version number; empty when a stage is given.
    """

    model: str
    workspace: str = ""
    stage: str = ""
    version: str = ""

    def __str__(self) -> str:
        return f"{self.model}@{self.version or self.stage}"

    def model_name(self, default_workspace: str) -> str:
        """Resource name of the model.

        Args:
            default_workspace: Resource name of the workspace to assume.
        """
        workspace = f"workspaces/{self.workspace}" if self.workspace else default_workspace
        return f"{workspace}/models/{self.model}"


def parse_reference(text: str) -> Reference:
    """Read `NAME`, `NAME@STAGE` or `NAME@NUMBER`; NAME may be a full resource name.

    Without a selector Production is meant, never the latest.

    Raises:
        InvalidArgument: When it is none of these.
    """
    name, at, selector = text.strip().partition("@")
    full, slash, number = name.partition("/versions/")
    model = _MODEL.fullmatch(full)
    if not model or (at and not selector) or (slash and at):
        raise _malformed(text, "write NAME@1.2.0 or NAME@production")
    selector = number if slash else selector
    found = Reference(model["id"], model["workspace"] or "")
    if not selector:
        return Reference(found.model, found.workspace, stage="production")
    if selector.lower() in STAGES:
        return Reference(found.model, found.workspace, stage=selector.lower())
    bare = selector.removeprefix("v")
    if not _NUMBER.fullmatch(bare):
        remedy = f"after @ comes a version number like 1.2.0, or one of {', '.join(STAGES)}"
        raise _malformed(text, remedy)
    return Reference(found.model, found.workspace, version=bare)


def parse_version(model: str | None, version: str | None) -> Reference:
    """A model and a version number that are given apart.

    Raises:
        InvalidArgument: When one is missing or malformed.
    """
    if not model or not version:
        message = "To register a model, give both its name and a version number such as 1.2.0."
        raise InvalidArgument(message, reason="FIELD_REQUIRED")
    reference = parse_reference(f"{model}@{version}")
    if not reference.version:
        raise _malformed(version, "give a version number like 1.2.0")
    return reference


def _malformed(text: str, remedy: str) -> InvalidArgument:
    return InvalidArgument(
        f'"{text[:200]}" is not a reference to a model; {remedy}.', reason="FIELD_INVALID"
    )
