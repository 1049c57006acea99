"""A CI job's token is exchanged by itself, once, whatever the number of clients and processes."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from studbook import exchanged_token, login
from studbook.cli.__main__ import run
from studbook.client import Client
from studbook.credentials import FixedToken
from studbook.exceptions import Unauthenticated
from studbook.identity.v1.identity_service_pb2 import JobTokenIssuer
from studbook.job_tokens import CiSystem, JobToken
from studbook.shared_exchanges import SharedExchange

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from studbook.stored_logins import StoredLogins
    from tests.unit.identity_server import Identity

CI = "https://ci.example"


def job_token(number: int = 0, issuer: str = CI) -> str:
    claims = {"iss": issuer, "exp": time.time() + 300, "number": number}
    body = base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
    return f"e30.{body}.c2ln"


@pytest.fixture(autouse=True)
def _required(identity: Identity, logins: StoredLogins) -> Iterator[None]:
    """The server requires an exchange of this CI system's tokens; nothing was exchanged before."""
    identity.job_token_issuers = [
        JobTokenIssuer(name="ci", issuer=CI, audience="x", exchange_required=True)
    ]
    yield
    exchanged_token._present.clear()


def token_of(address: str, text: str) -> str | None:
    with Client(address, token_source=FixedToken(text)) as client:
        return client.token()


def forget() -> None:
    """As in another process of the job."""
    exchanged_token._present.clear()


def test_one_token_is_exchanged_once_for_all_clients(identity: Identity, address: str) -> None:
    text = job_token()
    with ThreadPoolExecutor(4) as threads:
        got = set(threads.map(lambda _: token_of(address, text), range(8)))
    assert got == {"exchanged-1"}
    assert identity.spent == [text]
    # It asks for one that is good for as long as it may be.
    assert identity.exchanges[0].lifetime.seconds == 86_400


def test_processes_of_a_job_share_what_the_token_was_exchanged_for(
    identity: Identity, address: str
) -> None:
    program = "from studbook.client import Client; print(Client().token())"
    environment = {**os.environ, "STUDBOOK_TOKEN": job_token(), "STUDBOOK_ADDRESS": address}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    assert {process.communicate(timeout=60)[0] for process in processes} == {"exchanged-1\n"}
    assert len(identity.spent) == 1


def test_what_is_shared_says_nothing_without_the_token(
    address: str, logins: StoredLogins, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = job_token()
    token_of(address, text)
    path = SharedExchange(address, text).path
    assert path.stat().st_mode & 0o777 == 0o600
    assert "exchanged-1" not in path.read_text()
    other = SharedExchange(address, job_token(1))
    other.path.write_bytes(path.read_bytes())
    assert other.find() is None
    found = SharedExchange(address, text).find()
    assert found is not None
    assert found.access_token == "exchanged-1"
    # What is older than any such token goes with the next.
    os.utime(other.path, (1, 1))
    forget()
    token_of(address, job_token(2))
    assert not other.path.exists()


def test_where_nothing_can_be_written_nothing_is_shared(
    identity: Identity, address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("STUDBOOK_CONFIG_DIR", str(tmp_path / "file" / "config"))
    text = job_token()
    assert token_of(address, text) == "exchanged-1"
    assert token_of(address, text) == "exchanged-1"
    forget()
    with pytest.raises(Unauthenticated) as refused:
        token_of(address, text)
    assert refused.value.reason == "TOKEN_SPENT"
    assert "studbook token" in refused.value.next_step


def test_what_has_expired_is_said_so(identity: Identity, address: str) -> None:
    identity.lifetime_s = -1
    with pytest.raises(Unauthenticated) as refused:
        token_of(address, job_token())
    assert refused.value.reason == "TOKEN_EXPIRED"
    assert "CI system" in refused.value.next_step


@pytest.mark.parametrize("by", ["https://people.example", "studbook", ""])
def test_other_tokens_are_passed_on(identity: Identity, address: str, by: str) -> None:
    text = job_token(issuer=by)
    assert token_of(address, text) == text
    assert token_of(address, "opaque") == "opaque"
    assert identity.spent == []


def test_nothing_is_exchanged_where_it_is_optional(identity: Identity, address: str) -> None:
    identity.job_token_issuers[0].exchange_required = False
    text = job_token()
    assert token_of(address, text) == text
    assert identity.spent == []


def test_rules_that_change_are_noticed(
    identity: Identity, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    identity.job_token_issuers[0].exchange_required = False
    text = job_token()
    with Client(address, token_source=FixedToken(text)) as client:
        assert client.token() == text
        identity.job_token_issuers[0].exchange_required = True
        assert client.token() == text
        monkeypatch.setattr(exchanged_token, "_ASK_AGAIN_S", 0.0)
        assert client.token() == "exchanged-1"


class TestSystemThatGivesAsManyTokensAsAreWanted:
    @pytest.fixture
    def source(self, address: str) -> JobToken:
        self.asked = 0

        def request(_audience: str) -> str:
            self.asked += 1
            return job_token(self.asked)

        system = CiSystem(lambda: True, lambda url: url == CI, request)
        return JobToken(system, address, FixedToken("otherwise"))

    def test_it_is_asked_once_in_a_process(
        self, source: JobToken, identity: Identity, address: str
    ) -> None:
        for _ in range(2):
            with Client(address, token_source=source) as client:
                assert client.token() == client.token() == "exchanged-1"
        assert (self.asked, len(identity.spent)) == (1, 1)
        assert not identity.exchanges[0].HasField("lifetime")

    def test_another_is_exchanged_when_the_former_is_about_to_end(
        self, source: JobToken, identity: Identity, address: str
    ) -> None:
        identity.lifetime_s = 0
        with Client(address, token_source=source) as client:
            assert [client.token() for _ in range(3)] == [f"exchanged-{n}" for n in (1, 2, 3)]
        assert len(set(identity.spent)) == self.asked == 3

    def test_another_is_taken_when_the_answer_to_an_exchange_was_lost(
        self, source: JobToken, identity: Identity, address: str
    ) -> None:
        identity.spent.append(source.token() or "")
        with Client(address, token_source=source) as client:
            assert client.token() == "exchanged-2"

    def test_the_present_one_is_used_while_the_system_is_down(
        self, source: JobToken, identity: Identity, address: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        identity.lifetime_s = 5
        with Client(address, token_source=source) as client:
            assert client.token() == "exchanged-1"
            identity.available = False
            # A stream wants one with half of its life before it.
            present = exchanged_token._present[address, ""]
            assert not present.is_expired()
            obtained = time.time() - 100
            exchanged_token._present[address, ""] = type(present)(
                present.access_token, present.expires_at, obtained_at=obtained
            )
            assert client._tokens.lasting_token() == "exchanged-1"  # type: ignore[attr-defined]


class TestCommands:
    @pytest.fixture
    def job(self, address: str, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("STUDBOOK_ADDRESS", address)
        text = job_token()
        monkeypatch.setenv("STUDBOOK_TOKEN", text)
        return text

    def test_token_prints_what_it_was_exchanged_for(
        self, job: str, identity: Identity, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["token"]) == 0
        assert run(["token"]) == 0
        assert capsys.readouterr().out == "exchanged-1\n" * 2
        assert identity.spent == [job]

    def test_token_for_some_resources(
        self, job: str, identity: Identity, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(["token", "--resource", "models/wine/**", "--resource", "workspaces/x/**"]) == 0
        assert capsys.readouterr().out == "exchanged-1\n"
        assert list(identity.exchanges[0].resources) == [
            "workspaces/main/models/wine/**",
            "workspaces/x/**",
        ]

    def test_login_keeps_what_it_was_exchanged_for(self, address: str) -> None:
        assert login.with_token(address, job_token()).access_token == "exchanged-1"
