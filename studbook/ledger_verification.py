"""Whether a registry's ledger is sound: asks the registry, and checks what it says.

The registry compares its tables with the ledger, which only it can. That the ledger is the one that
it signed and showed before is checked here, over the entries as it lists them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from studbook.certificates.keys import parse_keys
from studbook.checkpoints import check_ledger, read_checkpoint
from studbook.exceptions import StudbookError, VerificationFailed
from studbook.ledger_chain import Chain, Link, actor_json
from studbook.patience import Patience
from studbook.registry.v1.ledger_service_pb2 import (
    GetLedgerKeysRequest,
    LedgerFinding,
    ListCheckpointsRequest,
    VerifyLedgerRequest,
)
from studbook.registry.v1.lineage_service_pb2 import ListLedgerEntriesRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    from studbook.checkpoints import Checkpoint
    from studbook.client import Client
    from studbook.identity.v1.principal_pb2 import Principal
    from studbook.registry.v1.ledger_pb2 import LedgerEntry

    # Called with what is done, how far it is, and how far it goes.
    Progress = Callable[[str, int, int], None]

WHOLE_LEDGER = "workspaces/-"
_PAGE = 1000
_KINDS = {0: "", 1: "USER", 2: "SERVICE", 3: "PIPELINE"}
_OUTCOMES = {1: "DONE", 2: "REFUSED"}


@dataclass(frozen=True)
class Verified:
    """What a verification found.

    Attributes:
        ledger: UUID of the ledger.
        position: Position of its last entry, as far as that was looked at.
        hash: Hash of that entry.
        checkpoint_count: How many checkpoints were compared.
        findings: What does not fit, the earliest first; at most 100.
        finding_count: How many there are in all.
    """

    ledger: str
    position: int
    hash: bytes
    checkpoint_count: int
    findings: Sequence[LedgerFinding] = field(default=())
    finding_count: int = 0


def verify_ledger(
    client: Client,
    kept_elsewhere: Sequence[bytes] = (),
    keys: Mapping[str, Ed25519PublicKey] | None = None,
    progress: Progress = lambda _what, _position, _head: None,
) -> Verified:
    """Verify the ledger and the tables of a registry.

    Args:
        client: The connection. Takes `ledger.read` on everything.
        kept_elsewhere: Checkpoints that were kept elsewhere, as envelopes.
        keys: The keys that are trusted, by id; None trusts those that the registry names.
        progress: Is told how far it has come.

    Raises:
        VerificationFailed: A checkpoint that was kept elsewhere cannot be relied on, or is about
            another ledger.
    """
    told = client.ledger.GetLedgerKeys(GetLedgerKeysRequest())
    if keys is None:
        pem = "".join(key.public_key_pem for key in told.keys).encode()
        keys = parse_keys(pem, "what the registry names as its keys")
    kept = [read_checkpoint(envelope, keys) for envelope in kept_elsewhere]
    for checkpoint in kept:
        check_ledger(checkpoint, told.ledger)
    found = _ask(client, kept_elsewhere, told.ledger, progress)
    if not found.findings:
        found = _look(client, found, kept, keys, progress)
    return found


def _ask(client: Client, kept: Sequence[bytes], ledger: str, progress: Progress) -> Verified:
    """What the registry itself finds.

    Asked again from the beginning when the token or the connection ended meanwhile. Progress does
    not renew the patience: what takes longer than a token lives is not begun for ever.
    """
    request = VerifyLedgerRequest(parent=WHOLE_LEDGER, checkpoints=kept)
    patience = Patience()
    while True:
        try:
            return _answer(client, request, ledger, progress)
        except StudbookError as error:
            patience.after(error)


def _answer(
    client: Client, request: VerifyLedgerRequest, ledger: str, progress: Progress
) -> Verified:
    for message in client.ledger.VerifyLedger(request):
        progress("Registry compares its tables", message.position, message.head_position)
        if message.complete:
            return Verified(
                ledger=ledger,
                position=message.position,
                hash=message.hash,
                checkpoint_count=message.checkpoint_count,
                findings=tuple(message.findings),
                finding_count=message.finding_count,
            )
    raise VerificationFailed("The registry ended the verification without a result.")


def _look(
    client: Client,
    told: Verified,
    kept: Sequence[Checkpoint],
    keys: Mapping[str, Ed25519PublicKey],
    progress: Progress,
) -> Verified:
    """Follow the entries as the registry lists them."""
    stated = [*kept, *_checkpoints(client, told.ledger, keys)]
    chain = Chain(stated, erased_up_to=told.position)
    fault = None
    for entry in _entries(client, lambda position: progress("Checking", position, told.position)):
        fault = chain.follow(_link(entry))
        if fault is None and entry.position == told.position and entry.hash != told.hash:
            return _with(told, entry.position, "the registry verified another entry than it lists")
        if fault is not None:
            return _with(told, fault.position, fault.problem)
    fault = chain.finish()
    if fault is not None:
        return _with(told, fault.position, fault.problem)
    if chain.position < told.position:
        problem = f"the registry verified entries up to {told.position}, but does not list them"
        return _with(told, chain.position + 1, problem)
    return Verified(told.ledger, chain.position, chain.hash, len(stated))


def _with(told: Verified, position: int, problem: str) -> Verified:
    finding = LedgerFinding(
        position=position, place="ledger", subject=f"entry {position}", problem=problem
    )
    return Verified(told.ledger, told.position, told.hash, told.checkpoint_count, (finding,), 1)


def _checkpoints(
    client: Client, ledger: str, keys: Mapping[str, Ed25519PublicKey]
) -> Iterator[Checkpoint]:
    request = ListCheckpointsRequest(parent=WHOLE_LEDGER, page_size=_PAGE)
    while True:
        page = client.ledger.ListCheckpoints(request)
        for listed in page.checkpoints:
            checkpoint = read_checkpoint(listed.envelope, keys)
            check_ledger(checkpoint, ledger)
            yield checkpoint
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _entries(client: Client, reached: Callable[[int], None]) -> Iterator[LedgerEntry]:
    request = ListLedgerEntriesRequest(parent=WHOLE_LEDGER, page_size=_PAGE)
    while True:
        page = client.lineage.ListLedgerEntries(request)
        yield from page.entries
        if page.entries:
            reached(page.entries[-1].position)
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


def _link(entry: LedgerEntry) -> Link:
    time = entry.create_time
    return Link(
        position=entry.position,
        create_us=time.seconds * 1_000_000 + time.nanos // 1000,
        actor_json=_actor_json(entry.actor),
        actor_digest=entry.actor_digest,
        actor_salt=entry.actor_salt,
        erased_by=entry.erased_by,
        action=entry.action,
        resource=entry.resource,
        outcome=_OUTCOMES.get(entry.outcome, str(entry.outcome)),
        reason=entry.reason,
        content_json=entry.content_json,
        caused_by=entry.caused_by,
        previous_hash=entry.previous_hash,
        hash=entry.hash,
    )


def _actor_json(actor: Principal) -> str:
    return actor_json(
        id=actor.id,
        kind=_KINDS.get(actor.kind, str(actor.kind)),
        display_name=actor.display_name,
        issuer=actor.issuer,
        subject=actor.subject,
        token_id=actor.token_id,
        pipeline_claims=actor.pipeline_claims,
    )
