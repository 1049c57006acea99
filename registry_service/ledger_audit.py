"""Whether the ledger fits in itself, its checkpoints fit it, and the tables hold what it says.

The ledger is read in portions, each in a transaction of its own, so that nobody waits for it and no
old state of the database has to be kept. At the end one transaction looks at what can still change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.ledger import scope_of
from registry_service.table_comparison import Finding, TableComparison
from studbook.certificates.envelope import read_envelope
from studbook.checkpoints import check_ledger, read_checkpoint
from studbook.exceptions import StudbookError
from studbook.ledger_chain import Chain, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from registry_service.store import RegistryStore
    from registry_service.store.audit_store import FoundEntry
    from registry_service.store.checkpoint_store import StoredCheckpoint
    from studbook.checkpoints import Checkpoint

PORTION = 2000
# How much the clocks of processes may differ.
_CLOCKS_DIFFER_US = 60 * 1_000_000
_LEDGER = "ledger"
_CHECKPOINTS = "checkpoints"


class LedgerAudit:
    """One verification. Call `begin`, `step` until it returns True, then `finish`.

    Each call takes a store on a transaction of its own.

    Args:
        keys: Keys that checkpoints may be signed with, by id.
        kept_elsewhere: Checkpoints that were kept elsewhere, as envelopes.

    Attributes:
        findings: What does not fit, as far as was looked.
        checkpoint_count: How many checkpoints are compared.
        head_position: Where the ledger ended when that was looked at last.
    """

    def __init__(
        self, keys: Mapping[str, Ed25519PublicKey], kept_elsewhere: Sequence[bytes] = ()
    ) -> None:
        self.findings: list[Finding] = []
        self.checkpoint_count = 0
        self.head_position = 0
        self._keys = keys
        self._kept_elsewhere = kept_elsewhere
        self._chain = Chain()
        self._tables = TableComparison()
        self._is_broken = False

    @property
    def position(self) -> int:
        """Position of the last entry that fits."""
        return self._chain.position

    @property
    def hash(self) -> bytes:
        """Its hash."""
        return self._chain.hash

    def begin(self, store: RegistryStore) -> None:
        """Read the checkpoints."""
        self.findings.clear()
        self.head_position = store.ledger.head().position
        stated = list(self._checkpoints(store))
        self.checkpoint_count = len(stated)
        self._chain = Chain(stated, erased_up_to=self.head_position)

    def step(self, store: RegistryStore) -> bool:
        """Look at the next portion.

        Returns:
            Whether the end is reached, or nothing further can be said.
        """
        found = store.audit.entries(self._chain.position, PORTION)
        for entry in found:
            self._follow(entry)
            if self._is_broken:
                return True
        self.findings.extend(self._tables.portion(store, self._chain.position))
        self.head_position = max(self.head_position, self._chain.position)
        return len(found) < PORTION

    def finish(self, store: RegistryStore) -> None:
        """Look at the last entries, and at everything that can still change."""
        while not self._is_broken and not self.step(store):
            pass
        if self._is_broken:
            return
        fault = self._chain.finish()
        if fault is not None:
            self._stop(fault)
            return
        self._check_head(store)
        self.findings.extend(self._tables.rest(store))

    def _check_head(self, store: RegistryStore) -> None:
        head = store.ledger.head()
        self.head_position = head.position
        if (head.position, head.hash) != (self._chain.position, self._chain.hash):
            at = min(head.position, self._chain.position) + 1
            problem = f"it says that the ledger ends at entry {head.position}, or with another hash"
            self.findings.append(Finding(at, "ledger_head", "", problem))
        elif head.settled_us < self._chain.last_us:
            problem = "settled_us is before the last entry or checkpoint"
            self.findings.append(Finding(head.position, "ledger_head", "", problem))
        elif head.settled_us > max(self._chain.last_us, store.now_us() + _CLOCKS_DIFFER_US):
            # Reading the present settles it, but nothing settles what is yet to come.
            problem = "settled_us is in the future; unless the clock was, somebody moved it"
            self.findings.append(Finding(head.position, "ledger_head", "", problem))

    def _follow(self, entry: FoundEntry) -> None:
        link = entry.link
        try:
            fault = self._chain.follow(link)
            if fault is None and scope_of(link.resource) != (entry.workspace, entry.model):
                fault = Fault(link.position, "workspace or model is not that of its resource")
            if fault is None and entry.actor != entry.actor_id:
                fault = Fault(link.position, "it is found by another actor than its own")
            if fault is None:
                self._tables.follow(link)
        except (TypeError, ValueError, AttributeError, LookupError) as error:
            fault = Fault(link.position, f"it cannot be followed: {error}")
        if fault is not None:
            self._stop(fault)

    def _stop(self, fault: Fault) -> None:
        # What comes behind has nothing to rest on.
        self._is_broken = True
        subject = f"entry {fault.position}"
        self.findings.append(Finding(fault.position, _LEDGER, subject, fault.problem))

    def _checkpoints(self, store: RegistryStore) -> Iterator[Checkpoint]:
        ledger = store.checkpoints.ledger()
        for kept in store.checkpoints.all():
            name = f"checkpoint at {kept.position}"
            checkpoint = self._read(kept.envelope, ledger, kept.position, name)
            if checkpoint is not None and not _is_found_as_signed(kept, checkpoint):
                problem = "position, create_us or key_id is not what was signed"
                self.findings.append(Finding(kept.position, _CHECKPOINTS, name, problem))
            elif checkpoint is not None:
                yield checkpoint
        for number, envelope in enumerate(self._kept_elsewhere, start=1):
            checkpoint = self._read(envelope, ledger, 0, f"kept elsewhere, number {number}")
            if checkpoint is not None:
                yield checkpoint

    def _read(self, envelope: bytes, ledger: str, position: int, name: str) -> Checkpoint | None:
        try:
            checkpoint = read_checkpoint(envelope, self._keys)
            check_ledger(checkpoint, ledger)
        except StudbookError as error:
            self.findings.append(Finding(position, _CHECKPOINTS, name, error.message))
            return None
        return checkpoint


def _is_found_as_signed(kept: StoredCheckpoint, checkpoint: Checkpoint) -> bool:
    return (kept.position, kept.create_us) == (
        checkpoint.position,
        checkpoint.time_us,
    ) and kept.key_id == read_envelope(kept.envelope).key_id
