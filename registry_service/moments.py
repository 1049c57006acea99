"""Answers for moments in the past that hold for ever."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from service_chassis.errors import invalid_field
from service_chassis.timestamps import from_timestamp

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.timestamp_pb2 import Timestamp

    from registry_service.registry_database import RegistryDatabase
    from registry_service.store import RegistryStore

T = TypeVar("T")


async def settled_read(
    database: RegistryDatabase,
    at: Timestamp,
    answer: Callable[[RegistryStore, int], T],
    clock: Callable[[], int],
) -> T:
    """Answer for the past, in a way that holds for ever.

    A moment is settled when no entry can come to bear that time any more. One that is not is
    settled first, so that no two answers for it differ, whichever process is asked.

    Args:
        database: The registry's database.
        at: The moment, field `at` of the request.
        answer: Answers for a moment in microseconds.
        clock: The present moment in microseconds.

    Raises:
        StudbookError: FIELD_INVALID when it lies in the future.
    """
    # Before 1970 nothing was there, however long before.
    at_us = max(from_timestamp(at), 0)

    def if_settled(store: RegistryStore) -> tuple[T] | None:
        return (answer(store, at_us),) if at_us <= store.ledger.head().settled_us else None

    found = await database.read(if_settled, brief=True)
    if found is not None:
        return found[0]
    if at_us > clock():
        raise invalid_field("at", shown(at), "it lies in the future; leave it out for now")
    await database.write(lambda store: store.ledger.settle(at_us))
    return await database.read(lambda store: answer(store, at_us), brief=True)


def shown(moment: Timestamp) -> str:
    """A moment for messages."""
    try:
        return moment.ToJsonString()
    except ValueError:
        return f"{moment.seconds} s after 1970"
