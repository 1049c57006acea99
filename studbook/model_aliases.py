"""Aliases of model versions, in one call each.

Every function takes an open `client`, or opens one for the call with the usual settings.
"""

from __future__ import annotations

import uuid
from contextlib import nullcontext
from typing import TYPE_CHECKING

from studbook.client import Client
from studbook.exceptions import InvalidArgument
from studbook.model_reference import Reference, parse_reference
from studbook.registry.v1 import alias_service_pb2

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

__all__ = ["delete_alias", "set_alias"]


def set_alias(
    reference: str | Reference,
    alias: str,
    *,
    reason: str = "",
    validate_only: bool = False,
    client: Client | None = None,
) -> alias_service_pb2.SetAliasResponse:
    """Make an alias name a version, whatever it named before.

    Args:
        reference: `NAME@NUMBER`.
        alias: E.g. `champion`.
        reason: Why; entered in the ledger.
        validate_only: Check everything, change nothing.
        client: Connection.

    Raises:
        PermissionDenied: When the caller may not, or the model protects the alias.
        FailedPrecondition: When the version's files are not verified.
    """
    wanted = _read(reference)
    if not wanted.version:
        raise _unusable(wanted, "name the version by its number, NAME@1.2.0")
    with _connection(client) as connection:
        model = wanted.model_name(connection.workspace)
        request = alias_service_pb2.SetAliasRequest(
            name=f"{model}/aliases/{alias}",
            version=f"{model}/versions/{wanted.version}",
            reason=reason,
            request_id="" if validate_only else str(uuid.uuid4()),
            validate_only=validate_only,
        )
        return connection.aliases.SetAlias(request)


def delete_alias(
    reference: str | Reference,
    *,
    reason: str = "",
    validate_only: bool = False,
    client: Client | None = None,
) -> None:
    """Take an alias, `NAME@ALIAS`, from its version; see `set_alias`.

    Raises:
        NotFound: When it names nothing.
    """
    wanted = _read(reference)
    if not wanted.alias:
        raise _unusable(wanted, "name the alias, NAME@champion")
    with _connection(client) as connection:
        request = alias_service_pb2.DeleteAliasRequest(
            name=f"{wanted.model_name(connection.workspace)}/aliases/{wanted.alias}",
            reason=reason,
            request_id="" if validate_only else str(uuid.uuid4()),
            validate_only=validate_only,
        )
        connection.aliases.DeleteAlias(request)


def _unusable(reference: Reference, remedy: str) -> InvalidArgument:
    return InvalidArgument(f"{reference} cannot be used here; {remedy}.", reason="FIELD_INVALID")


def _read(reference: str | Reference) -> Reference:
    return parse_reference(reference) if isinstance(reference, str) else reference


def _connection(client: Client | None) -> AbstractContextManager[Client]:
    return nullcontext(client) if client is not None else Client()
