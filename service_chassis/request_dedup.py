"""Safe retries: a request_id that was seen before gets the first answer again."""

from __future__ import annotations

import hashlib
import uuid
from functools import cache
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

import sqlalchemy as sa
from google.protobuf.message import Message
from sqlalchemy.exc import IntegrityError

from service_chassis.database import TransactionConflictError
from service_chassis.errors import invalid_field
from service_chassis.timestamps import now_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from service_chassis.caller import Caller

KEPT_US = 24 * 3600 * 1_000_000


class _Request(Protocol):
    request_id: str

    def SerializeToString(self, *, deterministic: bool = ...) -> bytes: ...  # noqa: N802


Response = TypeVar("Response", bound=Message)


def request_table(metadata: sa.MetaData) -> sa.Table:
    """The table that remembers answered requests; each service has its own."""
    return sa.Table(
        "answered_requests",
        metadata,
        sa.Column("principal", sa.Text, primary_key=True),
        sa.Column("request_type", sa.Text, primary_key=True),
        sa.Column("request_id", sa.Text, primary_key=True),
        sa.Column("body_hash", sa.LargeBinary, nullable=False),
        sa.Column("response", sa.LargeBinary, nullable=False),
        sa.Column("expire_time", sa.BigInteger, nullable=False, index=True),
    )


def once(
    connection: sa.Connection,
    table: sa.Table,
    caller: Caller,
    request: _Request,
    response_type: type[Response],
    work: Callable[[], Response],
) -> Response:
    """Do the work, unless the same caller sent the same request before within 24 hours.

    Must be called inside the transaction that makes the change, so that answer and change are
    stored together or not at all. Requests that are only validated are not remembered.

    Raises:
        StudbookError: FIELD_INVALID when request_id is not a UUID, REQUEST_ID_REUSED when it came
            with another body.
    """
    request_id = request.request_id
    if not request_id or getattr(request, "validate_only", False):
        return work()
    _check_uuid(request_id)
    key = {
        "principal": caller.principal.id,
        "request_type": type(request).__name__,
        "request_id": request_id,
    }
    body_hash = hashlib.sha256(request.SerializeToString(deterministic=True)).digest()
    now = now_us()
    statements = _statements(table)
    connection.execute(statements.forget, {"now": now})
    known = connection.execute(statements.find, key).one_or_none()
    if known is not None:
        if bytes(known.body_hash) != body_hash:
            raise invalid_field(
                "request_id",
                request_id,
                "it was used for another request before; make a new one for each request",
                reason="REQUEST_ID_REUSED",
                request_id=request_id,
            )
        return response_type.FromString(bytes(known.response))
    response = work()
    answer = {
        "body_hash": body_hash,
        "response": response.SerializeToString(),
        "expire_time": now + KEPT_US,
    }
    try:
        connection.execute(statements.remember, {**key, **answer})
    except IntegrityError as error:
        # The same request is being answered on another connection; its answer is ours, too.
        raise TransactionConflictError from error
    return response


class _Statements(NamedTuple):
    """What is asked of the table."""

    forget: sa.Delete
    find: sa.Select[tuple[bytes, bytes]]
    remember: sa.Insert


# Kept, because making a statement takes several times as long as running it.
@cache
def _statements(table: sa.Table) -> _Statements:
    key = (column == sa.bindparam(column.name) for column in table.primary_key)
    return _Statements(
        forget=table.delete().where(table.c.expire_time < sa.bindparam("now")),
        find=sa.select(table.c.body_hash, table.c.response).where(*key),
        remember=table.insert(),
    )


def _check_uuid(request_id: str) -> None:
    try:
        uuid.UUID(request_id)
    except ValueError as error:
        raise invalid_field("request_id", request_id, "it must be a UUID or empty") from error
