"""`studbook login`, `logout`, `whoami` and `access test`, against a server and a real issuer."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

from studbook import login
from studbook.cli.__main__ import run

if TYPE_CHECKING:
    from studbook.stored_logins import StoredLogins


@pytest.fixture(autouse=True)
def _at_the_server(
    address: str,
    logins: StoredLogins,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("STUDBOOK_ADDRESS", address)


def test_log_in_look_and_log_out(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["login", "--as", "ada"]) == 0
    assert "as Ada (user:dev:ada)" in capsys.readouterr().err

    assert run(["whoami"]) == 0
    assert "principal\tuser:dev:ada\n" in capsys.readouterr().out

    assert run(["whoami", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["principal"]["id"] == "user:dev:ada"

    assert run(["logout"]) == 0
    assert run(["whoami"]) == 4


def test_token_from_standard_input(
    address: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    token = login.as_demo_person(address, "ada").access_token
    monkeypatch.setattr("sys.stdin", io.StringIO(token + "\n"))

    assert run(["login", "--token-stdin"]) == 0
    assert token not in capsys.readouterr().err
    assert run(["whoami"]) == 0


@pytest.mark.parametrize("ways", [("--as", "ada", "--token-stdin"), ("--device", "--token-stdin")])
def test_two_ways_at_once(capsys: pytest.CaptureFixture[str], ways: tuple[str, ...]) -> None:
    assert run(["login", *ways]) == 2
    assert "exclude" in capsys.readouterr().err


def test_refused_token_is_not_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], logins: StoredLogins
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("made.up.token"))

    assert run(["login", "--token-stdin"]) == 4
    assert "made.up.token" not in capsys.readouterr().err
    assert not logins.path.exists()


def test_a_token_is_no_argument() -> None:
    assert run(["login", "--token-stdin", "made.up.token"]) == 2


def test_a_token_in_the_environment_is_mentioned(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STUDBOOK_TOKEN", "abc")

    assert run(["login", "--as", "ada"]) == 0
    assert "STUDBOOK_TOKEN is set" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("resource", "asked", "code"),
    [
        ("models/m", "workspaces/main/models/m", 0),
        ("workspaces/other/models/m", "workspaces/other/models/m", 4),
    ],
)
def test_access(capsys: pytest.CaptureFixture[str], resource: str, asked: str, code: int) -> None:
    run(["login", "--as", "ada"])

    assert run(["access", "test", "models.promote", resource]) == code
    assert f"models.promote on {asked}" in capsys.readouterr().out
