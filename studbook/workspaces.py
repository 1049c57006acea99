"""Which workspace is meant when none is named."""

from __future__ import annotations

import os
import re

from studbook.exceptions import InvalidArgument

DEFAULT_WORKSPACE = "main"
_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")


def resolve_workspace(explicit: str | None = None) -> str:
    """The workspace's resource name: the one given, else STUDBOOK_WORKSPACE, else `main`.

    Raises:
        InvalidArgument: When the id is not one.
    """
    text = explicit or os.environ.get("STUDBOOK_WORKSPACE") or DEFAULT_WORKSPACE
    workspace = text.removeprefix("workspaces/")
    if not _ID.fullmatch(workspace):
        message = f'"{text}" is not a workspace; an id is of a-z 0-9 - _ . and up to 128 long.'
        raise InvalidArgument(message, reason="FIELD_INVALID")
    return f"workspaces/{workspace}"
