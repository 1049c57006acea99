"""`studbook login`, `logout`, `whoami` and `access test`, against a server and a real issuer."""

from __future__ import annotations

import io
import json
import re
import time
from typing import TYPE_CHECKING

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from studbook import login
from studbook.cli.__main__ import run
from studbook.identity.v1.identity_service_pb2 import Denial, Grant, WhoAmIResponse
from studbook.identity.v1.principal_pb2 import Principal, PrincipalKind

if TYPE_CHECKING:
    from pathlib import Path

    from studbook.stored_logins import StoredLogins
    from tests.unit.conftest import ServedIssuer
    from tests.unit.identity_server import Identity


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
    shown = capsys.readouterr().out
    assert "principal\tuser:dev:ada\n" in shown
    assert "token\tof a stored login; renewed before it expires\n" in shown

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


class TestWhoAmI:
    def test_shows_who_by_what_and_why(
        self, identity: Identity, capsys: pytest.CaptureFixture[str]
    ) -> None:
        identity.who = WhoAmIResponse(
            principal=Principal(
                kind=PrincipalKind.PRINCIPAL_KIND_USER, issuer="https://login.example.com"
            ),
            groups=["group:dev:data-science", "group:dev:staff"],
            grants=[
                Grant(
                    role="viewer",
                    resource="workspaces/main/**",
                    member="group:dev:staff",
                    permissions=["models.read", "runs.read"],
                    expire_time=Timestamp(seconds=2_000_000_000),
                )
            ],
            denials=[
                Denial(
                    member="group:dev:data-science",
                    resource="workspaces/main/models/wine/**",
                    permissions=["models.promote"],
                )
            ],
            token_expire_time=Timestamp(seconds=int(time.time()) + 3000),
        )
        run(["login", "--as", "ada"])
        capsys.readouterr()

        assert run(["whoami"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert "kind\tperson" in lines
        assert "issuer\thttps://login.example.com" in lines
        assert "groups\tgroup:dev:data-science, group:dev:staff" in lines
        (expiry,) = [line for line in lines if line.startswith("token expires\t")]
        assert re.search(r"Z \(in (49|50) min \d\d s\)$", expiry)
        rule = "viewer\tworkspaces/main/**\tgroup:dev:staff\t2033-05-18T03:33:20Z"
        assert f"{rule}\tmodels.read, runs.read" in lines
        assert "models.promote\tworkspaces/main/models/wine/**\tgroup:dev:data-science\t-" in lines

    @pytest.mark.parametrize(
        ("variables", "said"),
        [
            ({"STUDBOOK_TOKEN": "TOKEN"}, "from the environment; not renewed"),
            ({"STUDBOOK_TOKEN_FILE": "FILE"}, "from a file"),
            (
                {"STUDBOOK_CLIENT_ID": "serving", "STUDBOOK_CLIENT_SECRET": "SECRET"},
                "of a service account; renewed",
            ),
        ],
    )
    def test_says_where_the_token_is_from(
        self,
        address: str,
        issuer: ServedIssuer,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        variables: dict[str, str],
        said: str,
    ) -> None:
        made = login.as_demo_person(address, "ada")
        file = tmp_path / "token"
        file.write_text(made.access_token)
        meant = {"TOKEN": made.access_token, "FILE": str(file), "SECRET": issuer.service_secret}
        for name, text in variables.items():
            monkeypatch.setenv(name, meant.get(text, text))

        assert run(["whoami"]) == 0
        assert f"token\t{said}" in capsys.readouterr().out

    def test_names_the_profile(self, address: str, capsys: pytest.CaptureFixture[str]) -> None:
        run(["login", "--as", "ada", "--profile", "prod", "--server", address])
        capsys.readouterr()

        assert run(["whoami"]) == 0
        assert f"server\t{address} (profile prod)\n" in capsys.readouterr().out
