"""`studbook verify` and the forms of `studbook model certificate`, as a user meets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from studbook.cli.model_certificate import CertificateFormat, _rendered
from tests.unit.certificates.made_certificates import (
    FILES,
    KEY,
    OTHER_KEY,
    certificate,
    put_files,
)

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

# Runs the command where no connection can be made and no name looked up.
_ALONE = """
import sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind"):
        raise RuntimeError(event)

sys.addaudithook(refuse)
from studbook.cli.__main__ import run
code = run(sys.argv[1:])
assert "grpc" not in sys.modules
sys.exit(code)
"""


def put_key(path: Path, key: Ed25519PrivateKey) -> Path:
    public = key.public_key()
    path.write_bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return path


class Table:
    """Certificate, key and files on a disk, and the command beside them."""

    def __init__(self, folder: Path) -> None:
        self.files = put_files(folder / "model")
        self.certificate = folder / "certificate.json"
        self.certificate.write_bytes(certificate())
        self.key = put_key(folder / "key.pem", KEY)

    def verify(self, *arguments: str, key: Path | None = None) -> tuple[int, str, str]:
        """Exit code, output and errors of the command."""
        given = ["--certificate", str(self.certificate), "--key", str(key or self.key)]
        done = subprocess.run(
            [sys.executable, "-c", _ALONE, "verify", *given, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "STUDBOOK_ADDRESS": "registry.invalid:1"},
        )
        return done.returncode, done.stdout, done.stderr


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path)


def test_everything_holds_and_each_thing_is_said_to(table: Table) -> None:
    code, out, err = table.verify(str(table.files))
    assert code == 0, err
    rows = [line.split("\t") for line in out.splitlines()]
    assert {row[2] for row in rows} == {"holds"}
    assert [row[1] for row in rows if row[0] == "file"] == sorted(FILES)


def test_what_does_not_hold_is_named_and_ends_with_6(table: Table) -> None:
    (table.files / "model.joblib").write_bytes(b"weightz")
    (table.files / "extra").write_bytes(b"")
    (table.files / "signature.json").unlink()
    code, out, err = table.verify(str(table.files))
    assert code == 6
    rows = [line.split("\t") for line in out.splitlines()]
    failed = {row[1] for row in rows if row[2] == "DOES NOT HOLD"}
    assert failed == {"model.joblib", "signature.json", str(table.files / "extra")}
    assert err.startswith("Error: 3 of ")


def test_json_says_the_same(table: Table) -> None:
    (table.files / "model.joblib").write_bytes(b"weightz")
    code, out, _ = table.verify(str(table.files), "--json")
    assert code == 6
    value: Any = json.loads(out)
    assert value["version"].endswith("/wine-cultivar/versions/1.2.0")
    assert not value["holds"]
    failed = [one["subject"] for one in value["findings"] if not one["holds"]]
    assert failed == ["model.joblib"]


def test_wrong_key_and_altered_certificate_end_with_6(table: Table, tmp_path: Path) -> None:
    other = put_key(tmp_path / "other.pem", OTHER_KEY)
    assert table.verify(str(table.files), key=other)[0] == 6
    table.certificate.write_bytes(certificate() + b"\n")
    code, _, err = table.verify(str(table.files))
    assert code == 6
    assert "canonical form" in err


@pytest.mark.parametrize("missing", ["certificate", "key", "files"])
def test_what_is_not_there_is_wrong_usage(table: Table, missing: str) -> None:
    path: Path = getattr(table, missing)
    path.rename(path.with_name("elsewhere"))
    code, _, err = table.verify(str(table.files))
    assert code == 2
    assert str(path) in err


def test_certificate_or_signature_must_be_given(table: Table) -> None:
    assert table.verify("--signature", str(table.certificate))[0] == 2


@pytest.mark.parametrize(
    ("form", "beginning"), [("dsse", b'{"payload":'), ("html", b"<!doctype"), ("cyclonedx", b"{\n")]
)
def test_every_form_comes_from_the_same_certificate(form: str, beginning: bytes) -> None:
    assert _rendered(certificate(), CertificateFormat(form)).startswith(beginning)
