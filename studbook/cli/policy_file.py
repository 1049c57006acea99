"""Promotion policies as YAML files, which are kept in Git beside the code.

A file has the fields of `PromotionPolicy` under their JSON names, enums without their prefix, and
times as YAML writes them. Without a name it is called as the file is.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from google.protobuf import json_format

from studbook import positioned_yaml
from studbook.exceptions import InvalidArgument
from studbook.registry.v1.policy_pb2 import PromotionPolicy

if TYPE_CHECKING:
    from pathlib import Path

    from studbook.positioned_yaml import Document

_PREFIXES = {"mode": "GATE_MODE_", "onMissing": "ON_MISSING_", "on_missing": "ON_MISSING_"}
_PLACE = re.compile(r"([A-Za-z_]\w*)|\[(\d+)\]")
# What the server gives and no file needs to say.
_GIVEN = ("revision", "digest", "updateTime", "updater")


def read_policy(path: Path, workspace: str) -> PromotionPolicy:
    """The policy in a file.

    Args:
        path: The file.
        workspace: Resource name of the workspace that short names belong to.

    Raises:
        InvalidArgument: It cannot be read, or is no policy; the message names the line.
    """
    try:
        document = positioned_yaml.parse(path.read_text())
    except OSError as error:
        raise _refusal(path, error.strerror or str(error)) from error
    except (positioned_yaml.YamlError, UnicodeDecodeError) as error:
        raise _refusal(path, str(error)) from error
    if not isinstance(document.value, dict):
        raise _refusal(path, "line 1: a policy is a mapping with the keys models, gates and so on")
    members = _json(document.value)
    policy = PromotionPolicy()
    try:
        json_format.ParseDict(members, policy)
    except json_format.ParseError as error:
        raise _refusal(path, _with_line(document, str(error))) from error
    name = policy.name or path.name.partition(".")[0]
    policy.name = name if name.startswith("workspaces/") else f"{workspace}/policies/{name}"
    return policy


def located(path: Path, refusal: InvalidArgument) -> InvalidArgument:
    """A server's refusal of what a file says, with the line that it is about."""
    field = refusal.field_violations[0].field if refusal.field_violations else ""
    document = positioned_yaml.parse(path.read_text())
    place: list[str | int] = []
    for name, index in _PLACE.findall(field):
        # Files may have either name; the one that they have not is passed over.
        place += [int(index)] if index else [name, _json_name(name)]
    return InvalidArgument(
        f"{path}, line {document.line(place)}: {refusal.message}",
        reason=refusal.reason,
        metadata=refusal.metadata,
        field_violations=refusal.field_violations,
    )


def as_yaml(policy: PromotionPolicy) -> str:
    """A policy as a file that `read_policy` reads."""
    import yaml

    members = json_format.MessageToDict(policy)
    for given in (*_GIVEN, "etag"):
        members.pop(given, None)
    for gate in members.get("gates", ()):
        for key, prefix in _PREFIXES.items():
            if key in gate:
                gate[key] = gate[key].removeprefix(prefix)
    return yaml.safe_dump(members, sort_keys=False, allow_unicode=True, width=100)


def _json_name(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))


def _json(value: Any, key: str = "") -> Any:
    if isinstance(value, dict):
        return {str(name): _json(one, str(name)) for name, one in value.items()}
    if isinstance(value, list):
        return [_json(one) for one in value]
    if isinstance(value, datetime):
        moment = value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)
        return moment.isoformat().replace("+00:00", "Z")
    if isinstance(value, date):
        return f"{value.isoformat()}T00:00:00Z"
    if key in _PREFIXES and isinstance(value, str):
        return value if value.startswith(_PREFIXES[key]) else _PREFIXES[key] + value.upper()
    return value


def _with_line(document: Document, problem: str) -> str:
    """A complaint of protobuf's, with the line that it is about."""
    found = re.search(r'at "?PromotionPolicy\.?([^"\s]*)', problem)
    unknown = re.search(r'has no field named "(\w+)"', problem)
    text = (found[1] if found else "") + (f".{unknown[1]}" if unknown else "")
    place = [int(index) if index else name for name, index in _PLACE.findall(text)]
    told = re.sub(r'Message type "studbook\.registry\.v1\.(\w+)"', r"\1", problem)
    told = re.sub(r'\.? ?at "?PromotionPolicy.*', "", told, flags=re.DOTALL)
    return f"line {document.line(place)}: {told.rpartition('Failed to parse ')[2]}."


def _refusal(path: Path, problem: str) -> InvalidArgument:
    return InvalidArgument(f"{path}, {problem}", reason="FIELD_INVALID")
