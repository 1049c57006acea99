"""Sending what processes that are gone have left behind."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from studbook.address import resolve_address
from studbook.client import Client
from studbook.record_folder import records_root, run_folders
from studbook.shipment import Shipment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from studbook.credentials import TokenSource
    from studbook.record_chain import RecordChain
    from studbook.record_folder import RunFolder

_VANISHED = "The process ended without finishing the run; noticed by `studbook sync`."


@dataclass(frozen=True)
class SyncProgress:
    """How far it is with one run: its resource name, and bytes of records still to be sent."""

    run: str
    remaining_bytes: int


@dataclass
class SyncedRun:
    """What became of one run's records.

    Attributes:
        run: Resource name of the run; the folder's path when its records cannot be read.
        busy_writers: Processes that are still writing, or whose records another one is sending;
            left alone.
        refusals: What the server did not want, in words.
        problem: Why the rest could not be sent; None when there is no rest.
    """

    run: str
    busy_writers: int = 0
    refusals: list[str] = field(default_factory=list)
    problem: Exception | None = None

    @property
    def is_complete(self) -> bool:
        """Whether the server has everything that there was."""
        return self.problem is None and not self.busy_writers

    def remark(self) -> str:
        """What there is to say about it, in a few words."""
        if self.problem is not None:
            return str(self.problem)
        if self.busy_writers:
            return "a process is still writing or sending it"
        return f"{len(self.refusals)} refused" if self.refusals else ""


def sync_pending(
    *,
    address: str | None = None,
    root: Path | None = None,
    token_source: TokenSource | None = None,
    on_progress: Callable[[SyncProgress], None] | None = None,
) -> list[SyncedRun]:
    """Send the records of dead processes, also while others are running.

    Args:
        address: Server to send to; default: the one that each run was meant for.
        root: Folder of the records; default: see `studbook.record_folder.records_root`.
        token_source: Where tokens come from; default: see `studbook.credentials`.
        on_progress: Told whenever the server has taken something.

    Returns:
        One entry for each run that has records, in no particular order.

    Raises:
        InvalidArgument: When the address is malformed.
    """
    clients = _Clients(address, token_source)
    try:
        return [
            _sync_run(folder, clients, on_progress)
            for folder in run_folders(root if root is not None else records_root())
        ]
    finally:
        clients.close()


class _Clients:
    """One connection for each server."""

    def __init__(self, address: str | None, token_source: TokenSource | None) -> None:
        self._address = address
        self._token_source = token_source
        self._open: dict[str, Client] = {}
        if address:
            resolve_address(address)

    def for_address(self, address: str) -> Client:
        """The connection for records that were meant for an address; empty: the default one."""
        wanted = str(resolve_address(self._address or address))
        if wanted not in self._open:
            self._open[wanted] = Client(wanted, token_source=self._token_source)
        return self._open[wanted]

    def close(self) -> None:
        for client in self._open.values():
            client.close()


def _sync_run(
    folder: RunFolder, clients: _Clients, on_progress: Callable[[SyncProgress], None] | None
) -> SyncedRun:
    synced = SyncedRun(str(folder.path))
    chains = folder.chains()
    for chain in chains:
        try:
            _sync_chain(chain, clients, synced, on_progress, is_last=chain == chains[-1])
        except Exception as error:  # noqa: BLE001 - the records of other runs are to be sent too
            # A later chain may end the run, or build on what this one says.
            synced.problem = error
            break
    folder.remove_if_empty()
    return synced


def _sync_chain(
    chain: RecordChain,
    clients: _Clients,
    synced: SyncedRun,
    on_progress: Callable[[SyncProgress], None] | None,
    *,
    is_last: bool,
) -> None:
    start = chain.start()
    if start is None:
        return
    synced.run = start.run
    # Asked first: a process that lives may write more while its records are being sent.
    if chain.is_written():
        synced.busy_writers += 1
        return
    shipment: Shipment | None = None

    def progressed() -> None:
        if on_progress:
            remaining = shipment.remaining_bytes if shipment else 0
            on_progress(SyncProgress(start.run, remaining))

    shipment = Shipment.acquire(clients.for_address(start.address), chain, progressed)
    if shipment is None:
        synced.busy_writers += 1
        return
    try:
        progressed()
        while shipment.advance():
            pass
        shipment.send_console()
        if is_last and not synced.busy_writers and shipment.end is None and not start.attached:
            shipment.mark_killed(_VANISHED)
        shipment.remove()
    finally:
        synced.refusals += map(str, shipment.take_refusals())
        shipment.close()
