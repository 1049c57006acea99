"""Notifications between the processes that share a PostgreSQL database.

They make things fast, never right: one can be lost with its connection, so whoever is told by them
looks for himself now and then as well. SQLite has none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

_log = structlog.get_logger("studbook.notifications")

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 10.0
# A connection that the network dropped in silence is noticed after half a minute.
_KEEPALIVE = {"keepalives_idle": 15, "keepalives_interval": 5, "keepalives_count": 3}


def notify(connection: sa.Connection, channel: str) -> None:
    """Notify whoever listens, when this transaction is committed."""
    if connection.dialect.name == "postgresql":
        connection.execute(sa.select(sa.func.pg_notify(channel, "")))


async def listen(engine: sa.Engine, channel: str, tell: Callable[[], None]) -> None:
    """Listen until cancelled, connecting anew whenever the connection is lost.

    Args:
        engine: Leads to the database. Of its connections none is used.
        channel: Name of the channel.
        tell: Called for notifications, and when a connection is made, since there may have been
            some before.
    """
    if engine.dialect.name != "postgresql":
        return
    # Ten megabytes that a process with SQLite has no use for.
    import psycopg  # noqa: PLC0415
    from psycopg import sql  # noqa: PLC0415

    _, arguments = engine.dialect.create_connect_args(engine.url)
    arguments = {**_KEEPALIVE, **arguments, "application_name": "studbook-listen"}
    pause_s = _FIRST_PAUSE_S
    while True:
        try:
            async with await psycopg.AsyncConnection.connect(
                autocommit=True, **arguments
            ) as connection:
                await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
                pause_s = _FIRST_PAUSE_S
                tell()
                async for _ in connection.notifies():
                    tell()
        except (psycopg.Error, OSError) as error:
            _log.warning("not_listening", channel=channel, error=type(error).__name__)
        await asyncio.sleep(pause_s)
        pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
