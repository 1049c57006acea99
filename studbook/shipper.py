"""The thread that sends a run's records while training goes on.

It alone imports grpc and talks to the network. Whatever fails there is reported once, kept on
disk, and tried again with growing intervals.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from typing import TYPE_CHECKING

from studbook.client_settings import ClientSettings
from studbook.exceptions import StudbookError
from studbook.fork_gate import importing
from studbook.process_room import require_room
from studbook.second_attempts import longest_wait_s, waits_for_a_person

if TYPE_CHECKING:
    from collections.abc import Callable

    from studbook.client import Client
    from studbook.record_chain import RecordChain
    from studbook.record_folder import RunFolder
    from studbook.shipment import Refusal, Shipment

_log = logging.getLogger("studbook")

# How often new records are looked for. Longer intervals make larger and so fewer batches.
FLUSH_INTERVAL_S = 1.0
_LONGEST_FAREWELL_S = 3.0
# Of refusals beyond these only the first is worth a line on the console.
_MOST_REPORTED = 20


class Shipper:
    """Sends what the processes of one run have written on this machine.

    Args:
        folder: The run's folder.
        connect: Makes the connection; called in the thread.
        only: Id of the one writer whose records are sent; None: all that are in the folder.

    Attributes:
        refusals: What the server did not want, in words.
    """

    def __init__(
        self, folder: RunFolder, connect: Callable[[], Client], only: str | None = None
    ) -> None:
        self.refusals: list[str] = []
        self._reported: set[str] = set()
        self._folder = folder
        self._connect = connect
        self._only = only
        self._client: Client | None = None
        self._shipments: dict[RecordChain, Shipment] = {}
        self._heartbeat_s = ClientSettings.from_environment().heartbeat_interval_s
        self._last_heard = time.monotonic()
        self._wake = threading.Event()
        self._stopping = False
        self._passes = threading.Condition()
        self._passes_begun = 0
        self._clean_passes = 0
        self._progress = 0
        self._failures = 0
        self._problem: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="studbook-shipper", daemon=True)

    def start(self) -> None:
        """Begin to send, unless that has begun already."""
        # The thread imports it with grpc, which the interpreter refuses once it has begun to end:
        # a program that is shorter than that import would not be sent.
        import concurrent.futures.thread  # noqa: F401, PLC0415 - for its side effect

        with self._passes:
            if self._thread.ident is None:
                self._thread.start()

    def drain(self, patience_s: float, longest_s: float | None = None) -> Exception | None:
        """Wait until all that is on disk now has been sent.

        Args:
            patience_s: Seconds without any progress after which to give up.
            longest_s: Seconds after which to give up in any case.

        Returns:
            None when the server has everything; else what stands in the way.
        """
        try:
            self.start()  # a signal may end the run in the middle of its beginning
        except (RuntimeError, OSError) as error:  # there can be no more threads, or open files
            return error
        with self._passes:
            # The pass under way may have looked for records before the last one was written.
            wanted = self._passes_begun + 1
            self._failures = 0
            self._wake.set()
            last, since = self._progress, time.monotonic()
            deadline = None if longest_s is None else since + longest_s
            while self._clean_passes < wanted:
                if self._failures and waits_for_a_person(self._problem):
                    return self._problem
                if not self._thread.is_alive():
                    return self._problem or RuntimeError("the sending thread has ended")
                self._passes.wait(0.1)
                if self._progress != last:
                    last, since = self._progress, time.monotonic()
                elif time.monotonic() - since > patience_s:
                    return self._problem or TimeoutError(f"{self._server} does not answer")
                if deadline is not None and time.monotonic() > deadline:
                    return self._problem or TimeoutError("there was no time to send the rest")
        return None

    def stop(self) -> None:
        """End the thread, giving up the call that it is in; what it had to send stays on disk."""
        self._stopping = True
        self._wake.set()
        client = self._client
        if client is not None:
            client.close()
        if self._thread.ident is not None:
            # A call that was given up may still be pausing before its next attempt.
            self._thread.join(_LONGEST_FAREWELL_S)

    @property
    def _server(self) -> str:
        return "the server" if self._client is None else str(self._client.address)

    def remaining_bytes(self) -> int:
        """Bytes of records that the server does not have yet."""
        shipments = dict(self._shipments)
        total = 0
        for chain in self._chains():
            shipment = shipments.get(chain)
            if shipment:
                total += shipment.remaining_bytes
            else:
                total += sum(path.stat().st_size for path in chain.segments())
        return total

    def close_after_fork(self) -> None:
        """Let go, in a child process, of the files that the parent's thread has open."""
        for shipment in self._shipments.values():
            shipment.close()

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._pass()
                self._wake.wait(self._pause())
                self._wake.clear()
        finally:
            for shipment in self._shipments.values():
                shipment.close()
            if self._client is not None:
                self._client.close()
            with self._passes:
                self._passes.notify_all()

    def _pause(self) -> float:
        if not self._failures:
            return FLUSH_INTERVAL_S
        longest = longest_wait_s(self._problem) if self._problem else 0.0
        wait = min(FLUSH_INTERVAL_S * 2.0 ** (self._failures - 1), longest)
        if waits_for_a_person(self._problem):
            wait = longest
        return wait * random.uniform(0.7, 1.3)  # noqa: S311 - spreads load, hides nothing

    def _pass(self) -> None:
        with self._passes:
            self._passes_begun += 1
            number = self._passes_begun
        try:
            if self._client is None:
                require_room()
                with importing():
                    self._client = self._connect()
            for chain in self._chains():
                self._send(self._client, chain)
            self._send_heartbeat()
        except Exception as error:  # noqa: BLE001 - the thread must outlive whatever happens
            if not self._stopping:
                self._failed(error)
            return
        if self._problem is not None:
            _log.warning("Studbook: sending again; nothing was lost.")
        with self._passes:
            self._problem = None
            self._failures = 0
            self._clean_passes = number
            self._passes.notify_all()

    def _chains(self) -> list[RecordChain]:
        if self._only is None:
            return self._folder.chains()
        chain = self._folder.chain(self._only)
        return [chain] if chain.segments() else []

    def _send(self, client: Client, chain: RecordChain) -> None:
        shipment = self._shipments.get(chain)
        if shipment is None:
            with importing():
                from studbook.shipment import Shipment  # noqa: PLC0415 - imports grpc

            shipment = Shipment.acquire(client, chain, self._progressed)
            if shipment is None:
                return
            self._shipments[chain] = shipment
        over = shipment.is_over()
        try:
            while not self._stopping and shipment.advance():
                pass
        finally:
            for refusal in shipment.take_refusals():
                self._report_refusal(chain, refusal)
        if over and not self._stopping:
            shipment.send_console()
            del self._shipments[chain]
            shipment.remove()
            self._folder.remove_if_empty()

    def _report_refusal(self, chain: RecordChain, refusal: Refusal) -> None:
        self.refusals.append(str(refusal))
        about = refusal.limit or str(refusal)
        if about in self._reported or len(self._reported) >= _MOST_REPORTED:
            return
        self._reported.add(about)
        lasts = refusal.limit or len(self._reported) == _MOST_REPORTED
        _log.warning(
            "Studbook: the server did not take the %s. It is kept in %s%s",
            str(refusal).rstrip("."),
            chain.refused,
            ", and so is what else it does not take." if lasts else ".",
        )

    def _send_heartbeat(self) -> None:
        """Say that the program lives, when nothing else has said so for a while."""
        if time.monotonic() - self._last_heard < self._heartbeat_s:
            return
        for shipment in list(self._shipments.values()):
            if shipment.end is None and shipment.is_begun:
                try:
                    shipment.heartbeat()
                except StudbookError as error:
                    # What there is to be said about it will be when there is something to send.
                    _log.debug("Studbook: no heartbeat: %s", error)
                break
        self._last_heard = time.monotonic()

    def _progressed(self) -> None:
        self._progress += 1
        self._last_heard = time.monotonic()

    def _failed(self, error: Exception) -> None:
        with self._passes:
            first = self._problem is None
            self._problem = error
            self._failures += 1
        if first:
            _log.warning(
                "Studbook: nothing can be sent at present: %s Training goes on; records are kept "
                "in %s and sent later.",
                f"{str(error).rstrip('.')}. {getattr(error, 'next_step', '')}".rstrip(),
                self._folder.path,
            )
