"""Access files on this machine, read as the gateway reads them.

The one place where the command line uses code of the server, which is there when the extra
`server` is installed.
"""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from studbook.cli.prerequisites import from_extra, readable
from studbook.exceptions import InvalidArgument

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from gateway.access_offline import Report
    from gateway.access_rules import AccessRules
    from studbook.identity.v1.identity_service_pb2 import TestAccessResponse

_EXTRA = "server"


def report(path: Path) -> Report:
    """What is to be said about an access file.

    Raises:
        StudbookError: It cannot be read, or the server's code is not installed.
    """
    with from_extra(_EXTRA):
        from gateway import access_offline
    return access_offline.check(_text(path), str(path))


def answer(
    path: Path, members: Sequence[str], claims: Path | None, permission: str, resource: str
) -> TestAccessResponse:
    """What a server with an access file would answer.

    Args:
        path: The access file.
        members: Whom to ask for: a principal, groups, or both.
        claims: Claims of a token to ask for as well, as JSON.
        permission: Name of the permission.
        resource: Name of the resource.

    Raises:
        StudbookError: A file cannot be used, the question has no answer, or the server's code is
            not installed.
    """
    with from_extra(_EXTRA):
        from gateway import access_offline
    rules = _rules(path)
    with _wrong_input():
        named = access_offline.members_of(rules, _claims(claims)) if claims else ()
        return access_offline.ask(rules, (*named, *members), permission, resource)


def differences(old: Path, new: Path) -> list[str]:
    """What members gain and lose with a new access file, as lines that begin with `+` or `-`.

    Raises:
        StudbookError: A file cannot be used, or the server's code is not installed.
    """
    with from_extra(_EXTRA):
        from gateway import access_offline
    return access_offline.differences(_rules(old), _rules(new))


def _rules(path: Path) -> AccessRules:
    from gateway import access_offline

    with _wrong_input():
        return access_offline.load(_text(path), str(path))


def _text(path: Path) -> str:
    with readable(), _wrong_input():
        return path.read_text(encoding="utf-8")


def _claims(path: Path) -> dict[str, Any]:
    claims = json.loads(_text(path))
    if not isinstance(claims, dict):
        message = f"{path}: the claims of a token are a JSON object."
        raise ValueError(message)
    return claims


@contextmanager
def _wrong_input() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise InvalidArgument(str(error), reason="FIELD_INVALID") from error
