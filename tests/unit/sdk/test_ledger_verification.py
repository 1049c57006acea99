"""What a client finds out by itself about a ledger, also when the registry does not tell it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc.jwk import OKPKey

from registry_service.ledger import ERASED, START, Draft, Entry, Head, Outcome, seal
from registry_service.proto_conversion import to_entry
from registry_service.signing import Signer
from service_chassis.caller import Principal
from studbook.certificates.envelope import IN_TOTO, Envelope, signed_bytes
from studbook.checkpoints import PAYLOAD_TYPE, Checkpoint, read_checkpoint
from studbook.exceptions import StudbookError, Unauthenticated, VerificationFailed
from studbook.ledger_chain import ERASE_PERSON, Erasure
from studbook.ledger_verification import verify_ledger
from studbook.registry.v1 import checkpoint_pb2, lineage_service_pb2
from studbook.registry.v1 import ledger_service_pb2 as messages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from registry_service.canonical_json import JsonObject

LEDGER = "6f1c2a52-7d53-4a51-9d5d-0c1a7e0f2f11"
SIGNER = Signer(OKPKey.generate_key("Ed25519").as_pem(private=True))
OTHER_SIGNER = Signer(OKPKey.generate_key("Ed25519").as_pem(private=True))
ADA = Principal(
    id="user:demo:ada", kind="user", display_name="Ada", pipeline_claims={"ref": "main", "a": "é"}
)
PAGE = 3


def chain(*reasons: str, head: Head = START) -> list[Entry]:
    entries = []
    for number, reason in enumerate(reasons):
        name = f"workspaces/main/models/m{number}"
        outcome = Outcome.REFUSED if reason == "refused" else Outcome.DONE
        draft = Draft(ADA, "model.create", name, {"n": number}, reason, outcome)
        entry = seal(head, draft, 1_770_000_000_000_000 + number, bytes(range(16)))
        entries.append(entry)
        head = Head(entry.position, entry.hash, entry.create_us)
    return entries


def checkpoint(entry: Entry, signer: Signer = SIGNER, ledger: str = LEDGER) -> bytes:
    stated = Checkpoint(ledger, entry.position, entry.hash, entry.create_us)
    return stated.seal(signer.key_id, signer.sign(stated.signed_bytes))


@dataclass
class Registry:
    """A registry that says what it is told to say."""

    entries: list[Entry]
    checkpoints: list[bytes] = field(default_factory=list)
    findings: list[messages.LedgerFinding] = field(default_factory=list)
    says_position: int | None = None
    says_hash: bytes | None = None
    signer: Signer = SIGNER
    # With what each of the first verifications ends before its time.
    ends: list[StudbookError] = field(default_factory=list)

    @property
    def client(self) -> Any:
        return SimpleNamespace(ledger=self, lineage=self)

    def GetLedgerKeys(self, _request: Any) -> messages.GetLedgerKeysResponse:  # noqa: N802
        key = next(iter(self.signer.trusted.values()))
        return messages.GetLedgerKeysResponse(
            ledger=LEDGER, keys=[checkpoint_pb2.LedgerKey(public_key_pem=pem(key), signing=True)]
        )

    def VerifyLedger(self, _request: Any) -> Iterator[messages.VerifyLedgerResponse]:  # noqa: N802
        last = self.entries[-1]
        yield messages.VerifyLedgerResponse(position=1, head_position=last.position)
        if self.ends:
            raise self.ends.pop(0)
        yield messages.VerifyLedgerResponse(
            position=last.position if self.says_position is None else self.says_position,
            hash=last.hash if self.says_hash is None else self.says_hash,
            head_position=last.position,
            findings=self.findings,
            finding_count=len(self.findings),
            complete=True,
        )

    def ListCheckpoints(self, _request: Any) -> messages.ListCheckpointsResponse:  # noqa: N802
        listed = [checkpoint_pb2.Checkpoint(envelope=one) for one in self.checkpoints]
        return messages.ListCheckpointsResponse(checkpoints=listed)

    def ListLedgerEntries(  # noqa: N802
        self, request: lineage_service_pb2.ListLedgerEntriesRequest
    ) -> lineage_service_pb2.ListLedgerEntriesResponse:
        start = int(request.page_token or 0)
        page = self.entries[start : start + PAGE]
        more = start + PAGE < len(self.entries)
        return lineage_service_pb2.ListLedgerEntriesResponse(
            entries=map(to_entry, page), next_page_token=str(start + PAGE) if more else ""
        )


def pem(key: Any) -> str:
    content: bytes = key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return content.decode()


def first_fault(registry: Registry, *kept: bytes) -> int:
    """The position that is named first; 0 when everything fits."""
    found = verify_ledger(registry.client, kept)
    return found.findings[0].position if found.findings else 0


def test_sound_ledger_verifies() -> None:
    entries = chain("a", "refused", "c", "d", "e", "f", "g")
    kept = checkpoint(entries[3])
    told = []
    registry = Registry(entries, [checkpoint(entries[5])])
    found = verify_ledger(registry.client, [kept], progress=lambda *how: told.append(how))
    assert not found.findings
    assert (found.position, found.hash, found.checkpoint_count) == (7, entries[-1].hash, 2)
    assert told[-1][1:] == (7, 7)


def test_what_the_registry_finds_is_told() -> None:
    finding = messages.LedgerFinding(position=2, place="stays", problem="reason")
    found = verify_ledger(Registry(chain("a", "b"), findings=[finding]).client)
    assert (found.findings, found.finding_count) == ((finding,), 1)


@pytest.mark.parametrize("index", range(5))
def test_entry_that_is_listed_otherwise_is_found(index: int) -> None:
    entries = chain("a", "b", "c", "d", "e")
    entries[index] = replace(entries[index], reason="another")
    assert first_fault(Registry(entries)) == index + 1


def test_entry_that_is_left_out_is_found() -> None:
    entries = chain("a", "b", "c", "d", "e")
    assert first_fault(Registry(entries[:2] + entries[3:])) == 4


def test_end_that_is_cut_off_is_found_by_a_checkpoint_kept_elsewhere() -> None:
    entries = chain("a", "b", "c", "d", "e")
    assert first_fault(Registry(entries[:3])) == 0
    assert first_fault(Registry(entries[:3]), checkpoint(entries[4])) == 4


def test_ledger_that_is_written_anew_is_found_by_a_checkpoint_kept_elsewhere() -> None:
    entries, anew = chain("a", "b", "c", "d"), chain("a", "other", "c", "d")
    registry = Registry(anew, [checkpoint(anew[3])])
    assert first_fault(registry) == 0
    assert first_fault(registry, checkpoint(entries[2])) == 3


def test_entry_that_is_dated_before_a_checkpoint_is_found() -> None:
    entries = chain("a", "b", "c")
    late = Checkpoint(LEDGER, 2, entries[1].hash, entries[2].create_us)
    assert (
        first_fault(Registry(entries), late.seal(SIGNER.key_id, SIGNER.sign(late.signed_bytes)))
        == 3
    )


@pytest.mark.parametrize(
    "lie", [{"says_position": 9}, {"says_hash": bytes(32)}, {"says_position": 2}]
)
def test_registry_that_verified_another_ledger_than_it_lists_is_found(lie: dict[str, Any]) -> None:
    assert first_fault(Registry(chain("a", "b", "c"), **lie))


def test_erasures_are_counted() -> None:
    entries = chain("a", "b", "c")
    erasure = Erasure()
    for position in (1, 3):
        erasure.add(position)
    content: JsonObject = {
        "entries": 2,
        "positions_digest": erasure.positions_digest,
        "lineages": [],
    }
    head = Head(3, entries[2].hash, entries[2].create_us)
    done = seal(head, Draft(ADA, ERASE_PERSON, "workspaces/-", content), 0, bytes(16))

    def erased(entry: Entry) -> Entry:
        return replace(entry, actor=ERASED, actor_salt=b"", erased_by=done.position)

    first, second, third = entries
    assert first_fault(Registry([erased(first), second, erased(third), done])) == 0
    assert first_fault(Registry([erased(first), erased(second), erased(third), done])) == 4
    assert first_fault(Registry([erased(first), second, third, done])) == 4
    by_nobody = replace(erased(first), erased_by=2)
    assert first_fault(Registry([by_nobody, second, third])) == 1


def test_checkpoint_of_another_ledger_or_key_is_refused() -> None:
    entries = chain("a", "b")
    with pytest.raises(VerificationFailed, match="about the ledger"):
        verify_ledger(Registry(entries).client, [checkpoint(entries[1], ledger="another")])
    with pytest.raises(VerificationFailed, match="not trusted"):
        verify_ledger(Registry(entries).client, [checkpoint(entries[1], OTHER_SIGNER)])
    # A registry that names another key as its own is believed, unless the key is known.
    registry = Registry(entries, [checkpoint(entries[1], OTHER_SIGNER)], signer=OTHER_SIGNER)
    assert not verify_ledger(registry.client).findings
    with pytest.raises(VerificationFailed, match="not trusted"):
        verify_ledger(registry.client, keys=SIGNER.trusted)


def test_checkpoint_with_any_bit_changed_is_refused() -> None:
    envelope = checkpoint(chain("a")[0])
    read = read_checkpoint(envelope, SIGNER.trusted)
    assert (read.ledger, read.position) == (LEDGER, 1)
    for place in range(len(envelope)):
        for bit in range(8):
            altered = bytearray(envelope)
            altered[place] ^= 1 << bit
            with pytest.raises(VerificationFailed):
                read_checkpoint(bytes(altered), SIGNER.trusted)


def test_certificate_is_no_checkpoint() -> None:
    payload = Checkpoint(LEDGER, 1, bytes(32), 0).payload
    signature = SIGNER.sign(signed_bytes(IN_TOTO, payload))
    with pytest.raises(VerificationFailed, match="in-toto"):
        read_checkpoint(
            Envelope(IN_TOTO, payload, SIGNER.key_id, signature).encode(), SIGNER.trusted
        )


@pytest.mark.parametrize(
    "payload",
    [
        b"{}",
        b"[]",
        b'{"hash":"00","ledger":"l","position":1,"time":"2026-01-01T00:00:00.000000Z"}',
        b'{"hash":1,"ledger":"l","position":1,"time":"2026-01-01T00:00:00.000000Z"}',
        b'{"hash":"%s","ledger":"l","position":true,"time":"2026-01-01T00:00:00.000000Z"}'
        % (b"0" * 64),
        b'{"hash":"%s","ledger":"l","position":1,"time":"2026-01-01T00:00:00"}' % (b"0" * 64),
        b'{"hash":"%s","ledger":"l","position":1,"time":"2026-01-01T00:00:00Z"}' % (b"0" * 64),
        b'{"ledger":"l","hash":"%s","position":1,"time":"2026-01-01T00:00:00.000000Z"}'
        % (b"0" * 64),
    ],
)
def test_signed_payload_of_another_form_is_refused(payload: bytes) -> None:
    signature = SIGNER.sign(signed_bytes(PAYLOAD_TYPE, payload))
    envelope = Envelope(PAYLOAD_TYPE, payload, SIGNER.key_id, signature).encode()
    with pytest.raises(VerificationFailed):
        read_checkpoint(envelope, SIGNER.trusted)


class TestTokenThatEndsMeanwhile:
    EXPIRED = Unauthenticated("It has expired.", reason="TOKEN_EXPIRED")

    def test_the_registry_is_asked_again(self) -> None:
        registry = Registry(chain("a", "b"), ends=[self.EXPIRED])

        assert verify_ledger(registry.client).position == 2

    def test_but_not_for_ever(self) -> None:
        registry = Registry(chain("a", "b"), ends=[self.EXPIRED] * 9)

        with pytest.raises(Unauthenticated, match="expired"):
            verify_ledger(registry.client)
        assert len(registry.ends) == 7
