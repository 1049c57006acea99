"""The registry's database as the servicers use it: one store for each transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from google.protobuf.message import Message

from registry_service.store import RegistryStore
from registry_service.tables import answered_requests
from service_chassis.notifications import notify
from service_chassis.request_dedup import once
from service_chassis.timestamps import now_us

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    import sqlalchemy as sa

    from service_chassis.caller import Caller
    from service_chassis.database import Database

T = TypeVar("T")
Response = TypeVar("Response", bound=Message)


LEDGER_CHANNEL = "studbook_ledger"


class _NotAnsweredError(Exception):
    pass


def _ignore() -> None:
    pass


class RegistryDatabase:
    """Runs work on a `RegistryStore`, in a thread, in one transaction.

    Args:
        database: The database.
        clock: The present moment in microseconds.

    Attributes:
        on_append: Called in the event loop when a transaction that appended to the ledger is
            committed. Other processes are notified.
    """

    def __init__(self, database: Database, clock: Callable[[], int] = now_us) -> None:
        self._database = database
        self._clock = clock
        self.on_append: Callable[[], None] = _ignore

    async def read(self, work: Callable[[RegistryStore], T], *, brief: bool = False) -> T:
        """Run read-only work; `brief` as for `Database.read`."""
        return await self._database.read(
            lambda connection: work(self._store(connection)), brief=brief
        )

    def read_now(self, work: Callable[[RegistryStore], T]) -> T:
        """`read` for callers without an event loop."""
        return self._database.read_now(lambda connection: work(self._store(connection)))

    async def change_mark(self) -> int:
        """What is another number as soon as the ledger has a new entry, whichever process made it.

        Every change of the registry appends to the ledger, in its own transaction.
        """
        if self._database.is_sqlite:
            return self._database.sqlite_changes()
        return await self.read(lambda store: store.ledger.head().position)

    async def write(self, work: Callable[[RegistryStore], T]) -> T:
        """Run work that changes something. It may run several times."""
        return await self._commit(lambda _, store: work(store))

    async def write_once(
        self,
        caller: Caller,
        request: Any,
        response_type: type[Response],
        work: Callable[[RegistryStore], Response],
    ) -> Response:
        """Run work that changes something, unless this request was answered before."""

        def in_transaction(connection: sa.Connection, store: RegistryStore) -> Response:
            return once(
                connection, answered_requests, caller, request, response_type, lambda: work(store)
            )

        return await self._commit(in_transaction)

    async def earlier_answer(
        self, caller: Caller, request: Any, response_type: type[Response]
    ) -> Response | None:
        """What this request was answered before, None when it is new.

        For work that has to ask another service first, which a repeated request must not need.
        """
        if not request.request_id:
            return None

        def give_up(_store: RegistryStore) -> Response:
            raise _NotAnsweredError

        try:
            return await self.write_once(caller, request, response_type, give_up)
        except _NotAnsweredError:
            return None

    async def _commit(self, work: Callable[[sa.Connection, RegistryStore], T]) -> T:
        appended = False

        def in_transaction(connection: sa.Connection) -> T:
            nonlocal appended
            store = self._store(connection)
            done = work(connection, store)
            appended = store.ledger.appended
            if appended:
                notify(connection, LEDGER_CHANNEL)
            return done

        done = await self._database.write(in_transaction)
        if appended:
            self.on_append()
        return done

    def _store(self, connection: sa.Connection) -> RegistryStore:
        return RegistryStore(connection, self._clock)
