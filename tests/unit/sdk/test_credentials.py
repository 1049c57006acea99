"""Where tokens come from, and when they are renewed."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from studbook import login
from studbook.credentials import (
    ClientCredentials,
    FileToken,
    FixedToken,
    NoToken,
    StoredLogin,
    default_token_source,
)
from studbook.exceptions import (
    FailedPrecondition,
    InvalidArgument,
    Unauthenticated,
    Unavailable,
)
from studbook.identity.v1.identity_service_pb2 import LoginProvider
from studbook.login_provider import expiry_of
from studbook.stored_logins import Login, StoredLogins

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.conftest import ServedIssuer
    from tests.unit.identity_server import Identity


class TestDefaultSource:
    @pytest.fixture(autouse=True)
    def _clean(self, logins: StoredLogins) -> None:
        """Without variables and logins of whoever runs this."""

    def test_nothing_is_no_token(self) -> None:
        assert default_token_source("one:1").token() is None

    def test_token_goes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUDBOOK_TOKEN", "abc")
        monkeypatch.setenv("STUDBOOK_TOKEN_FILE", "/nowhere")
        monkeypatch.setenv("STUDBOOK_CLIENT_ID", "serving")

        assert default_token_source("one:1").token() == "abc"

    def test_token_file_is_read_again(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        file = tmp_path / "token"
        file.write_text("first\n")
        monkeypatch.setenv("STUDBOOK_TOKEN_FILE", str(file))
        source = default_token_source("one:1")

        assert source.token() == "first"
        file.write_text("second")
        assert source.token() == "second"

    def test_client_secret_may_be_in_a_file(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, address: str, issuer: ServedIssuer
    ) -> None:
        file = tmp_path / "secret"
        file.write_text(issuer.service_secret + "\n")
        monkeypatch.setenv("STUDBOOK_CLIENT_ID", "serving")
        monkeypatch.setenv("STUDBOOK_CLIENT_SECRET_FILE", str(file))

        assert default_token_source(address).token()

    def test_of_several_login_providers_the_named_one_is_used(
        self,
        monkeypatch: pytest.MonkeyPatch,
        address: str,
        issuer: ServedIssuer,
        identity: Identity,
    ) -> None:
        identity.providers.append(LoginProvider(name="other", issuer="https://other.example"))
        monkeypatch.setenv("STUDBOOK_CLIENT_ID", "serving")
        monkeypatch.setenv("STUDBOOK_CLIENT_SECRET", issuer.service_secret)

        with pytest.raises(FailedPrecondition, match="several"):
            default_token_source(address).token()
        monkeypatch.setenv("STUDBOOK_LOGIN_PROVIDER", "dev")
        assert default_token_source(address).token()

    def test_client_id_without_secret(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUDBOOK_CLIENT_ID", "serving")

        with pytest.raises(InvalidArgument, match="STUDBOOK_CLIENT_SECRET"):
            default_token_source("one:1")

    def test_login_of_that_server_only(self, logins: StoredLogins) -> None:
        with logins.locked():
            logins.save("one:1", Login("abc"))

        assert default_token_source("one:1").token() == "abc"
        assert default_token_source("two:2").token() is None


@pytest.mark.parametrize("text", ["", "  ", "a b", "a\nb", "tökén", "a\x00b"])
def test_what_cannot_be_a_token_is_refused_unseen(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        FixedToken(text)

    assert text.strip() == "" or text not in str(caught.value)


def test_missing_token_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match="absent"):
        FileToken(tmp_path / "absent").token()


def test_no_token() -> None:
    assert NoToken().token() is None


def test_import_is_cheap() -> None:
    heavy = "'grpc', 'httpx', 'authlib', 'google', 'http'"
    code = f"import sys, studbook.credentials; print([m for m in ({heavy}) if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)

    assert done.stdout.strip() == b"[]"


class TestClientCredentials:
    def test_token_is_kept_until_it_is_due(self, address: str, issuer: ServedIssuer) -> None:
        source = ClientCredentials(address, "serving", issuer.service_secret)

        assert source.token() == source.token()

    def test_wrong_secret_says_which_variables(self, address: str) -> None:
        with pytest.raises(Unauthenticated, match="invalid_client") as caught:
            ClientCredentials(address, "serving", "wrong").token()

        assert "STUDBOOK_CLIENT_SECRET" in caught.value.next_step
        assert "wrong" not in str(caught.value)

    def test_token_outlives_an_outage(
        self, address: str, issuer: ServedIssuer, identity: Identity
    ) -> None:
        source = ClientCredentials(address, "serving", issuer.service_secret)
        token = source.token()
        assert source._login is not None
        source._login = replace(source._login, expires_at=time.time() + 30)
        identity.providers[0].issuer = "http://127.0.0.1:9/gone"

        assert source.token() == token
        source._login = replace(source._login, expires_at=time.time() - 1)
        with pytest.raises(Unavailable, match="cannot be reached"):
            source.token()


class TestStoredLogin:
    @pytest.fixture
    def ada(self, address: str, logins: StoredLogins) -> Login:
        made = login.as_demo_person(address, "ada")
        self.keep(address, logins, made)
        return made

    def keep(self, address: str, logins: StoredLogins, made: Login, **changes: object) -> None:
        with logins.locked():
            logins.save(address, replace(made, **changes))  # type: ignore[arg-type]

    def test_fresh_token_is_used(self, address: str, ada: Login) -> None:
        assert StoredLogin(address).token() == ada.access_token

    def test_due_token_is_renewed_and_kept(
        self, address: str, logins: StoredLogins, ada: Login
    ) -> None:
        self.keep(address, logins, ada, expires_at=time.time() + 30)

        token = StoredLogin(address).token()

        assert token != ada.access_token
        kept = logins.find(address)
        assert kept is not None
        assert kept.access_token == token
        assert kept.refresh_token != ada.refresh_token

    def test_parallel_callers_refresh_once(
        self, address: str, logins: StoredLogins, ada: Login
    ) -> None:
        self.keep(address, logins, ada, expires_at=0.0)

        with ThreadPoolExecutor(6) as pool:
            tokens = set(pool.map(lambda _: StoredLogin(address).token(), range(6)))

        assert len(tokens) == 1

    def test_ended_login_is_forgotten(self, address: str, logins: StoredLogins, ada: Login) -> None:
        self.keep(address, logins, ada, expires_at=0.0, refresh_token="revoked")

        with pytest.raises(Unauthenticated, match="expired") as caught:
            StoredLogin(address).token()
        assert "studbook login" in caught.value.next_step
        assert logins.find(address) is None

    def test_outage_of_the_provider(self, address: str, logins: StoredLogins, ada: Login) -> None:
        gone = "http://127.0.0.1:9/token"
        self.keep(address, logins, ada, expires_at=time.time() + 30, token_endpoint=gone)
        assert StoredLogin(address).token() == ada.access_token

        self.keep(address, logins, ada, expires_at=0.0, token_endpoint=gone)
        with pytest.raises(Unavailable):
            StoredLogin(address).token()
        assert logins.find(address) is not None

    def test_without_refresh_token_it_ends_with_the_token(
        self, address: str, logins: StoredLogins
    ) -> None:
        self.keep(address, logins, Login("abc", time.time() + 30))
        assert StoredLogin(address).token() == "abc"

        self.keep(address, logins, Login("abc", 1.0))
        with pytest.raises(Unauthenticated, match="expired"):
            StoredLogin(address).token()


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "a.W10.c", "a.e30.c", "a.eyJleHAiOiJ4In0.c"])
def test_expiry_of_what_does_not_say(token: str) -> None:
    assert expiry_of(token) is None


def test_expiry_of_a_token() -> None:
    assert expiry_of("a.eyJleHAiOjEyM30.c") == 123.0
