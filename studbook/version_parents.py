"""What people write for the parents of a version: `NAME@1.2.0`, or `URI@sha256:DIGEST`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from studbook.exceptions import InvalidArgument
from studbook.model_reference import parse_reference

if TYPE_CHECKING:
    from studbook.registry.v1.lineage_pb2 import LineageParent

_BASE = re.compile(r"(?P<uri>[a-z][a-z0-9+.-]*:[!-~]+)@(?P<digest>sha256:[0-9a-f]{64})")


def check_parent(text: str) -> None:
    """Refuse what `read_parent` refuses, without protobuf.

    Raises:
        InvalidArgument: It is no parent.
    """
    if _BASE.fullmatch(text):
        return
    if "://" in text:
        message = f'"{text[:200]}" has no digest; write URI@sha256: and 64 hexadecimal digits.'
        raise InvalidArgument(message, reason="FIELD_INVALID")
    if not parse_reference(text).version:
        message = f'"{text[:200]}" names no version by number; a stage may hold another tomorrow.'
        raise InvalidArgument(message, reason="FIELD_INVALID")


def read_parent(text: str, workspace: str) -> LineageParent:
    """Read a parent.

    Args:
        text: `NAME@1.2.0` or the name of a version, for a version of the registry; `URI@sha256:...`
            for a base from elsewhere, e.g. `https://huggingface.co/google-bert/bert-base-uncased`
            with the digest of its files.
        workspace: Resource name of the workspace that short forms belong to.

    Raises:
        InvalidArgument: It is neither.
    """
    from studbook.registry.v1.lineage_pb2 import (  # noqa: PLC0415 - runs log without protobuf
        LineageParent,
    )

    check_parent(text)
    if base := _BASE.fullmatch(text):
        return LineageParent(uri=base["uri"], digest=base["digest"])
    reference = parse_reference(text)
    model = reference.model_name(workspace)
    return LineageParent(version=f"{model}/versions/{reference.version}")
