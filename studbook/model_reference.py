"""How people write versions: `wine-cultivar@1.2.0`, `wine-cultivar@production` and so on.

Behind the @ comes a number, a stage, an alias such as `champion`, or a range such as `~1.2`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from studbook.exceptions import InvalidArgument

STAGES = ("none", "staging", "production", "archived")
# What can be written for the number of a version that is to be registered.
NEXT = ("next-patch", "next-minor", "next-major")

_MODEL = re.compile(
    r"(?:workspaces/(?P<workspace>[^/@]+)/models/)?(?P<id>[a-z0-9][a-z0-9._-]{0,127})"
)
# As semver.org gives it, less build metadata, which versions of models do not have.
_NUMBER = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(-(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)(\.(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*))*)?"
)

_ALIAS = re.compile(r"(?!v\d|x(?:\.|$))[a-z][a-z0-9._-]{0,63}")
_PART = r"(?:0|[1-9]\d*|[xX*])"
_COMPARATOR = rf"(?:<=|>=|<|>|=|\^|~)?\s*v?(?:0|[1-9]\d*)(?:\.{_PART}){{0,2}}(?:-[0-9A-Za-z.-]+)?"
_RANGE = re.compile(rf"{_COMPARATOR}(?:(?:\s*,\s*|\s*\|\|\s*|\s+-\s+|\s+){_COMPARATOR})*", re.ASCII)
_LONGEST_RANGE = 128
_REMEDY = (
    "after @ comes a version number like 1.2.0, a range like ~1.2, an alias, or one of "
    f"{', '.join(STAGES)}"
)


@dataclass(frozen=True)
class Reference:
    """A model, and which of its versions is meant.

    Attributes:
        model: Id of the model.
        workspace: Id of its workspace; empty: the client's own.
        stage: A stage in lower case.
        version: A version number.
        alias: An alias.
        range: A range of version numbers.

    Of the last four one is given, and the others are empty.
    """

    model: str
    workspace: str = ""
    stage: str = ""
    version: str = ""
    alias: str = ""
    range: str = ""

    def __str__(self) -> str:
        return f"{self.model}@{self.version or self.stage or self.alias or self.range}"

    def model_name(self, default_workspace: str) -> str:
        """Resource name of the model.

        Args:
            default_workspace: Resource name of the workspace to assume.
        """
        workspace = f"workspaces/{self.workspace}" if self.workspace else default_workspace
        return f"{workspace}/models/{self.model}"


def parse_reference(text: str) -> Reference:
    """Read `NAME` or `NAME@SELECTOR`; NAME may be a full resource name.

    The selector is a stage, a number, an alias or a range. Without one Production is meant, never
    the latest.

    Raises:
        InvalidArgument: When it is none of these.
    """
    name, at, selector = text.strip().partition("@")
    full, slash, number = name.partition("/versions/")
    model = _MODEL.fullmatch(full)
    if not model or (at and not selector) or (slash and at):
        raise _malformed(text, "write NAME@1.2.0 or NAME@production")
    chosen = _selector(number if slash else selector)
    if chosen is None or (slash and "version" not in chosen):
        raise _malformed(text, _REMEDY)
    return Reference(model["id"], model["workspace"] or "", **chosen)


def _selector(text: str) -> dict[str, str] | None:
    """What is given behind the @, as an argument of Reference; None when it cannot be read."""
    bare = text.removeprefix("v")
    if not text or text.lower() in STAGES:
        return {"stage": text.lower() or "production"}
    if _NUMBER.fullmatch(bare):
        return {"version": bare}
    if text == "latest":
        return None
    if _ALIAS.fullmatch(text):
        return {"alias": text}
    if len(text) <= _LONGEST_RANGE and _RANGE.fullmatch(text):
        return {"range": text}
    return None


def parse_version(model: str | None, version: str | None) -> Reference:
    """A model and the number of a version to be registered, which are given apart.

    Instead of a number, `next-patch`, `next-minor` or `next-major` is taken.

    Raises:
        InvalidArgument: When one is missing or malformed.
    """
    if not model or not version:
        message = "To register a model, give both its name and a version number such as 1.2.0."
        raise InvalidArgument(message, reason="FIELD_REQUIRED")
    if version in NEXT:
        reference = parse_reference(model)
        return Reference(reference.model, reference.workspace, version=version)
    reference = parse_reference(f"{model}@{version}")
    if not reference.version:
        raise _malformed(version, f"give a version number like 1.2.0, or {', '.join(NEXT)}")
    return reference


def _malformed(text: str, remedy: str) -> InvalidArgument:
    return InvalidArgument(
        f'"{text[:200]}" is not a reference to a model; {remedy}.', reason="FIELD_INVALID"
    )
