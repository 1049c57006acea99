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

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from studbook.client import Client
    from studbook.record_folder import RunFolder
    from studbook.shipment import Shipment

_log = logging.getLogger("studbook")

# How often new records are looked for. Longer intervals make larger and so fewer batches.
FLUSH_INTERVAL_S = 1.0
_LONGEST_WAIT_S = 30.0
_LONGEST_FAREWELL_S = 3.0


class Shipper:
    """Sends what the processes of one run have written on this machine.

    Args:
        folder: The run's folder.
        connect: Makes the connection; called in the thread.

    Attributes:
        refusals: What the server did not want, in words.
    """

    def __init__(self, folder: RunFolder, connect: Callable[[], Client]) -> None:
        self.refusals: list[str] = []
        self._folder = folder
        self._connect = connect
        self._client: Client | None = None
        self._shipments: dict[Path, Shipment] = {}
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
        """Begin to send."""
        self._thread.start()

    def drain(self, patience_s: float) -> Exception | None:
        """Wait until all that is on disk now has been sent.

        Args:
            patience_s: Seconds without any progress after which to give up.

        Returns:
            None when the server has everything; else what stands in the way.
        """
        with self._passes:
            # The pass under way may have looked for records before the last one was written.
            wanted = self._passes_begun + 1
            self._failures = 0
            self._wake.set()
            last, since = self._progress, time.monotonic()
            while self._clean_passes < wanted:
                if not self._thread.is_alive():
                    return self._problem or RuntimeError("the sending thread has ended")
                self._passes.wait(0.1)
                if self._progress != last:
                    last, since = self._progress, time.monotonic()
                elif time.monotonic() - since > patience_s:
                    return self._problem or TimeoutError("the server does not answer")
        return None

    def stop(self) -> None:
        """End the thread, giving up the call that it is in; what it had to send stays on disk."""
        self._stopping = True
        self._wake.set()
        client = self._client
        if client is not None:
            client.close()
        # A call that was given up may still be pausing before its next attempt.
        self._thread.join(_LONGEST_FAREWELL_S)

    def remaining_bytes(self) -> int:
        """Bytes of records that the server does not have yet."""
        shipments = dict(self._shipments)
        total = 0
        for path in self._folder.record_files():
            shipment = shipments.get(path)
            total += shipment.remaining_bytes if shipment else path.stat().st_size
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
        wait = min(FLUSH_INTERVAL_S * 2.0 ** (self._failures - 1), _LONGEST_WAIT_S)
        return wait * random.uniform(0.7, 1.3)  # noqa: S311 - spreads load, hides nothing

    def _pass(self) -> None:
        with self._passes:
            self._passes_begun += 1
            number = self._passes_begun
        try:
            if self._client is None:
                self._client = self._connect()
            for records in self._folder.record_files():
                self._send(self._client, records)
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

    def _send(self, client: Client, records: Path) -> None:
        shipment = self._shipments.get(records)
        if shipment is None:
            from studbook.shipment import Shipment  # noqa: PLC0415 - imports grpc

            shipment = Shipment.acquire(client, records, self._progressed)
            if shipment is None:
                return
            self._shipments[records] = shipment
        over = shipment.is_over()
        try:
            while not self._stopping and shipment.advance():
                pass
        finally:
            for refusal in shipment.take_refusals():
                _log.warning("Studbook: the server did not take the %s", refusal)
                self.refusals.append(refusal)
        if over and not self._stopping:
            del self._shipments[records]
            shipment.remove()
            self._folder.remove_if_empty()

    def _progressed(self) -> None:
        self._progress += 1

    def _failed(self, error: Exception) -> None:
        with self._passes:
            first = self._problem is None
            self._problem = error
            self._failures += 1
        if first:
            _log.warning(
                "Studbook: nothing can be sent at present: %s%s Training goes on; records are "
                "kept in %s and sent later.",
                error,
                f" {step}" if (step := getattr(error, "next_step", "")) else "",
                self._folder.path,
            )
