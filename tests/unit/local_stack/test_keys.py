"""Keys are made once, belong together, and are their owner's alone."""

from __future__ import annotations

import stat
from typing import TYPE_CHECKING

from local_stack import keys
from service_chassis.assertion import AssertionSigner, AssertionVerifier
from service_chassis.caller import Caller, Principal

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

METHOD = "/studbook.tracking.v1.RunService/GetRun"


def test_command_makes_keys_that_belong_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "config"
    assert keys.main([str(folder)]) == 0
    assert "gateway.pem" in capsys.readouterr().out
    caller = Caller(Principal("user:dev:ada", "user"), {})
    for component in ("gateway", "registry"):
        signer = AssertionSigner(component, (folder / f"{component}.pem").read_bytes())
        public = (folder / f"{component}.pub.pem").read_bytes()
        verifier = AssertionVerifier("tracking", {component: public})
        verified = verifier.verify(signer.sign(caller, METHOD, "tracking"), METHOD)
        assert (verified.principal, verified.via) == (caller.principal, component)
    modes = {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {0o600}


def test_keys_that_are_there_are_kept(tmp_path: Path) -> None:
    keys.main([str(tmp_path)])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    keys.main([str(tmp_path)])
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
