"""Model files signed in the OpenSSF model-signing format, and verified by its own program."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from studbook.certificates.model_signature import sign_directory, verify_directory
from studbook.exceptions import InvalidArgument, VerificationFailed
from tests.unit.certificates.made_certificates import put_files

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return put_files(tmp_path / "model")


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path, "key")


def make_key(folder: Path, name: str) -> Path:
    """A private key, with its public half in a file `.pub` beside it."""
    made = ec.generate_private_key(ec.SECP256R1())
    path = folder / name
    path.write_bytes(made.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    path.with_suffix(".pub").write_bytes(
        made.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    return path


def test_what_was_signed_verifies_here_and_with_the_library_itself(
    tmp_path: Path, model: Path, key: Path
) -> None:
    signature, public = tmp_path / "model.sig", key.with_suffix(".pub")
    sign_directory(model, key, signature)
    verify_directory(model, public, signature)
    arguments = [str(model), "--signature", str(signature), "--public_key", str(public)]
    done = subprocess.run(
        [sys.executable, "-m", "model_signing", "verify", "key", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_altered_missing_and_extra_files_and_other_keys_are_found(
    tmp_path: Path, model: Path, key: Path
) -> None:
    signature, public = tmp_path / "model.sig", key.with_suffix(".pub")
    sign_directory(model, key, signature)
    other = make_key(tmp_path, "other").with_suffix(".pub")
    with pytest.raises(VerificationFailed):
        verify_directory(model, other, signature)

    weights = (model / "model.joblib").read_bytes()
    (model / "model.joblib").write_bytes(bytes([weights[0] ^ 1]) + weights[1:])
    with pytest.raises(VerificationFailed, match=r"model\.joblib"):
        verify_directory(model, public, signature)
    (model / "model.joblib").unlink()
    with pytest.raises(VerificationFailed, match="Missing files"):
        verify_directory(model, public, signature)
    (model / "model.joblib").write_bytes(weights)
    (model / "more").write_bytes(b"")
    with pytest.raises(VerificationFailed, match="Extra files"):
        verify_directory(model, public, signature)


def test_what_is_no_signature_does_not_verify(tmp_path: Path, model: Path, key: Path) -> None:
    signature = tmp_path / "model.sig"
    for content in ("", "{}", "[]", "no JSON", '{"dsseEnvelope": 1, "verificationMaterial": {}}'):
        signature.write_text(content)
        with pytest.raises(VerificationFailed):
            verify_directory(model, key.with_suffix(".pub"), signature)


def test_marker_of_a_pull_and_the_signature_itself_are_not_signed(
    tmp_path: Path, model: Path, key: Path
) -> None:
    (model / ".studbook-version.json").write_text("{}")
    sign_directory(model, key, model / "model.sig")
    sign_directory(model, key, model / "model.sig")
    (model / ".studbook-version.json").write_text("{} ")
    verify_directory(model, key.with_suffix(".pub"), model / "model.sig")


def test_key_that_cannot_sign_is_refused(tmp_path: Path, model: Path, key: Path) -> None:
    with pytest.raises(InvalidArgument):
        sign_directory(model, key.with_suffix(".pub"), tmp_path / "model.sig")
