"""A certificate holds as the registry wrote it, beside the very files, and in no other case."""

from __future__ import annotations

import base64
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from studbook.certificates.envelope import read_envelope
from studbook.certificates.file_set import MARKER
from studbook.certificates.keys import key_id, read_keys
from studbook.certificates.verification import verify_certificate
from studbook.exceptions import InvalidArgument, VerificationFailed
from tests.unit.certificates.made_certificates import (
    FILES,
    KEY,
    KEYS,
    OTHER_KEY,
    certificate,
    put_files,
    resigned,
    sealed,
    subject,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from studbook.certificates.verification import Verification


def failures(verification: Verification) -> dict[str, str]:
    """What does not hold, and why."""
    return {
        finding.subject: finding.detail for finding in verification.findings if not finding.holds
    }


def accepts(content: bytes, keys: Any = KEYS) -> bool:
    """Whether a certificate is found to hold."""
    try:
        return verify_certificate(content, keys).holds
    except VerificationFailed:
        return False


def test_a_certificate_holds_beside_its_files(tmp_path: Path) -> None:
    verification = verify_certificate(certificate(), KEYS, [put_files(tmp_path)])
    assert verification.holds
    named = [(finding.kind, finding.subject) for finding in verification.findings]
    assert named[0] == ("signature", next(iter(KEYS)))
    assert [subject for kind, subject in named if kind == "claim"] == [
        "version", "run", "datasets", "code", "environment", "parents", "stages", "ledger",
    ]  # fmt: skip
    assert [subject for kind, subject in named if kind == "file"] == sorted(FILES)


@given(data=st.data())
def test_no_single_bit_can_be_changed(data: st.DataObject) -> None:
    content = bytearray(certificate())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not accepts(bytes(content))


def test_no_bit_around_the_signature_can_be_changed() -> None:
    content = certificate()
    start = content.index(b'"payloadType"')
    for place in (*range(40), *range(start - 8, len(content))):
        for bit in range(8):
            changed = bytearray(content)
            changed[place] ^= 1 << bit
            assert not accepts(bytes(changed)), (place, bit)


@given(data=st.data())
def test_nothing_can_be_cut_off_or_put_in(data: st.DataObject) -> None:
    content = certificate()
    place = data.draw(st.integers(0, len(content)))
    more = data.draw(st.binary(max_size=4))
    cut = data.draw(st.integers(0, 4))
    changed = content[:place] + more + content[place + cut :]
    assert accepts(changed) == (changed == content)


def _members(change: Callable[[dict[str, Any]], None]) -> bytes:
    value = json.loads(certificate())
    change(value)
    return json.dumps(value, separators=(",", ":")).encode()


def _url_safe(value: dict[str, Any]) -> None:
    value["signatures"][0]["sig"] = (
        value["signatures"][0]["sig"].replace("+", "-").replace("/", "_").rstrip("=")
    )


def _loose_bits(value: dict[str, Any]) -> None:
    signature = value["signatures"][0]["sig"]
    assert signature.endswith("==")
    value["signatures"][0]["sig"] = f"{signature[:-3]}{chr(ord(signature[-3]) + 1)}=="


def _second_signature(value: dict[str, Any]) -> None:
    value["signatures"].append(value["signatures"][0])


REENCODED = {
    "indented": json.dumps(json.loads(certificate()), indent=1).encode(),
    "line break behind": certificate() + b"\n",
    "byte order mark": b"\xef\xbb\xbf" + certificate(),
    "twice": certificate() + certificate(),
    "other order": json.dumps(
        dict(reversed(json.loads(certificate()).items())), separators=(",", ":")
    ).encode(),
    "member twice": certificate().replace(b'{"payload":', b'{"payload":"","payload":', 1),
    "escaped": certificate().replace(b"in-toto", b"in\\u002dtoto", 1),
    "further member": _members(lambda value: value.update(more=1)),
    "no signature": _members(lambda value: value.update(signatures=[])),
    "two signatures": _members(_second_signature),
    "signature without padding": _members(_url_safe),
    "signature with loose bits": _members(_loose_bits),
    "in base64": base64.b64encode(certificate()),
    "utf-16": certificate().decode().encode("utf-16"),
    "deep": b"[" * 100_000,
    "lone surrogate": certificate().replace(b"application", b"\\ud800pplication", 1),
    "empty": b"",
    "number": b"1",
    "array": b"[]",
    "null members": b'{"payload":null,"payloadType":null,"signatures":[null]}',
}


@pytest.mark.parametrize("form", REENCODED)
def test_no_other_form_is_a_certificate(form: str) -> None:
    assert accepts(certificate())
    with pytest.raises(VerificationFailed) as caught:
        verify_certificate(REENCODED[form], KEYS)
    assert caught.value.exit_code == 6


def test_payload_that_was_written_anew_is_not_signed() -> None:
    envelope = read_envelope(certificate())
    value = json.loads(certificate())
    payload = json.dumps(json.loads(envelope.payload)).encode()
    value["payload"] = base64.b64encode(payload).decode()
    changed = json.dumps(value, separators=(",", ":")).encode()
    verification = verify_certificate(changed, KEYS)
    assert {finding.holds for finding in verification.findings} == {False}


def test_a_wrong_key_proves_nothing(tmp_path: Path) -> None:
    other = {key_id(OTHER_KEY.public_key()): OTHER_KEY.public_key()}
    verification = verify_certificate(certificate(), other, [put_files(tmp_path)])
    assert {finding.holds for finding in verification.findings} == {False}
    passed_off = {key_id(KEY.public_key()): OTHER_KEY.public_key()}
    assert not accepts(certificate(), passed_off)
    assert not accepts(sealed(read_envelope(certificate()).payload, OTHER_KEY))


def test_what_else_the_registry_signs_is_no_certificate() -> None:
    statement = json.loads(read_envelope(certificate()).payload)
    for changes in ({"_type": "other"}, {"predicateType": "https://other.example/v1"}):
        with pytest.raises(VerificationFailed):
            verify_certificate(sealed(json.dumps({**statement, **changes}).encode()), KEYS)
    with pytest.raises(VerificationFailed):
        verify_certificate(sealed(b"position 7", payload_type="text/plain"), KEYS)


@pytest.mark.parametrize("path", sorted(FILES))
def test_file_with_one_bit_changed_is_found(tmp_path: Path, path: str) -> None:
    content = bytearray(FILES[path])
    content[len(content) // 2] ^= 1
    (put_files(tmp_path) / path).write_bytes(content)
    failed = failures(verify_certificate(certificate(), KEYS, [tmp_path]))
    assert list(failed) == [path]
    assert "certified is sha256:" in failed[path]


def test_missing_and_extra_files_are_found(tmp_path: Path) -> None:
    put_files(tmp_path)
    (tmp_path / "model.joblib").unlink()
    (tmp_path / "vocabulary" / "more.txt").write_text("rosé")
    failed = failures(verify_certificate(certificate(), KEYS, [tmp_path]))
    assert failed == {
        "model.joblib": "it is missing",
        str(tmp_path / "vocabulary" / "more.txt"): "it is none of the version's files",
    }


def test_links_are_no_files(tmp_path: Path) -> None:
    put_files(tmp_path / "there")
    put_files(tmp_path / "here")
    (tmp_path / "here" / "model.joblib").unlink()
    (tmp_path / "here" / "model.joblib").symlink_to(tmp_path / "there" / "model.joblib")
    (tmp_path / "here" / "more").symlink_to(tmp_path / "there")
    failed = failures(verify_certificate(certificate(), KEYS, [tmp_path / "here"]))
    assert failed["model.joblib"] == "it is a symbolic link"
    assert str(tmp_path / "here" / "more") in failed


def test_pipes_are_no_files(tmp_path: Path) -> None:
    (put_files(tmp_path) / "model.joblib").unlink()
    os.mkfifo(tmp_path / "model.joblib")
    failed = failures(verify_certificate(certificate(), KEYS, [tmp_path]))
    assert failed == {"model.joblib": "it is not a file"}


def test_marker_of_a_fetched_version_and_the_certificate_may_lie_beside_the_files(
    tmp_path: Path,
) -> None:
    put_files(tmp_path)
    (tmp_path / MARKER).write_text("{}")
    beside = tmp_path / "certificate.json"
    beside.write_bytes(certificate())
    verification = verify_certificate(certificate(), KEYS, [tmp_path], ignored=[beside])
    assert verification.holds
    assert not verify_certificate(certificate(), KEYS, [tmp_path]).holds


def test_single_files_are_known_by_the_end_of_their_path(tmp_path: Path) -> None:
    folder = put_files(tmp_path)
    given = [folder / path for path in FILES]
    assert verify_certificate(certificate(), KEYS, given).holds
    alone = [folder / "vocabulary" / "words.txt"]
    assert verify_certificate(certificate(), KEYS, alone, partial=True).holds
    missing = failures(verify_certificate(certificate(), KEYS, alone))
    assert missing == {"model.joblib": "it is missing", "signature.json": "it is missing"}
    twice = failures(verify_certificate(certificate(), KEYS, [folder, *alone]))
    assert list(twice.values()) == ["it is a second vocabulary/words.txt"]


def test_file_that_does_not_exist_is_a_mistake_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument):
        verify_certificate(certificate(), KEYS, [tmp_path / "nothing"])


def test_claims_that_contradict_each_other_do_not_hold() -> None:
    value = json.loads(read_envelope(certificate()).payload)["predicate"]
    stages = value["stages"]
    gap = [stages[0], {**stages[1], "startTime": stages[2]["startTime"]}, stages[2]]
    for changes, claims in (
        ({"version": {**value["version"], "digest": "sha256:0"}}, {"version"}),
        ({"version": {**value["version"], "files": []}}, {"version"}),
        ({"stages": gap}, {"stages"}),
        ({"stages": stages[1:]}, {"stages"}),
        ({"stages": stages[:2]}, {"stages"}),
        ({"stages": [stages[0], stages[2], stages[1]]}, {"stages"}),
        ({"ledger": {**value["ledger"], "position": 8}}, {"ledger"}),
        ({"run": {}}, {"run"}),
    ):
        assert set(failures(verify_certificate(resigned(**changes), KEYS))) == claims


def test_keys_are_read_from_a_file_with_several(tmp_path: Path) -> None:
    path = tmp_path / "keys.pem"
    blocks = [
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        for key in (OTHER_KEY, KEY)
    ]
    path.write_bytes(b"for 2026\n" + b"\n".join(blocks))
    keys = read_keys(path)
    assert len(keys) == 2
    assert verify_certificate(certificate(), keys).holds


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"no key",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ],
)
def test_what_is_no_public_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(InvalidArgument):
        read_keys(path)


def test_numbers_of_the_run_are_exact() -> None:
    run = json.loads(read_envelope(certificate()).payload)["predicate"]["run"]
    values = {one["key"]: (one["type"], one["value"]) for one in run["parameters"]}
    assert values["largest"] == ("int", str(2**62))
    assert values["rate"] == ("double", "0.1")
    assert values["shuffle"] == ("bool", "true")
    metrics = {one["key"]: (one["last"], one["min"]) for one in run["metrics"]}
    assert metrics == {"accuracy": ("0.97", "0.1"), "loss": ("NaN", "-Infinity")}


def test_statement_is_the_same_bytes_each_time() -> None:
    from registry_service.certificate_statement import write_statement  # noqa: PLC0415

    assert write_statement(subject()) == read_envelope(certificate()).payload
