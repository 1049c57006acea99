"""How handlers use the database: one transaction for each call."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from service_chassis.request_dedup import once
from tracking_service.store.tracking_store import TrackingStore
from tracking_service.tables import answered_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa
    from google.protobuf.message import Message

    from service_chassis.caller import Caller
    from service_chassis.database import Database

Result = TypeVar("Result")
Response = TypeVar("Response", bound="Message")


async def read(
    database: Database, work: Callable[[TrackingStore], Result], *, brief: bool = False
) -> Result:
    """Run queries on one consistent state; `brief` as for `Database.read`."""
    return await database.read(lambda connection: work(TrackingStore(connection)), brief=brief)


async def write(
    database: Database,
    work: Callable[[TrackingStore], Result],
    *,
    brief: bool = False,
    order: str = "",
) -> Result:
    """Run a change; durable when this returns. `brief` and `order` as for `Database.write`."""
    return await database.write(
        lambda connection: work(TrackingStore(connection)), brief=brief, order=order
    )


async def change(
    database: Database,
    caller: Caller,
    request: Any,
    response_type: type[Response],
    work: Callable[[TrackingStore], Response],
) -> Response:
    """Run the change that a request asks for, once for each `request_id`.

    With `validate_only` the change is made and taken back, so that it meets the very checks that
    it would meet in earnest.

    Args:
        database: Where to run it.
        caller: Who asks; request ids are the caller's own.
        request: A request with `validate_only`, and perhaps `request_id`.
        response_type: Type of the answer, for reading a stored one.
        work: Makes the change and the answer.
    """

    def transaction(connection: sa.Connection) -> Response:
        store = TrackingStore(connection)
        if request.validate_only:
            savepoint = connection.begin_nested()
            try:
                return work(store)
            finally:
                savepoint.rollback()
        if not hasattr(request, "request_id"):
            return work(store)
        return once(
            connection, answered_requests, caller, request, response_type, lambda: work(store)
        )

    return await database.write(transaction)
