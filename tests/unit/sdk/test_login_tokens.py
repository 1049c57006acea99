"""The tokens of a stored login: when they are renewed, and by whom."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from studbook import login
from studbook.exceptions import Unauthenticated, Unavailable
from studbook.login_tokens import StoredLogin
from studbook.stored_logins import Login
from tests.unit.scripted_provider import scripted_provider

if TYPE_CHECKING:
    from studbook.stored_logins import StoredLogins


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
        now = time.time()
        self.keep(address, logins, ada, obtained_at=now - 3570, expires_at=now + 30)

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

    def test_processes_that_refresh_at_once_keep_the_login(
        self, address: str, logins: StoredLogins, ada: Login
    ) -> None:
        """A refresh token is good for one use; a second one would end the login."""
        self.keep(address, logins, ada, expires_at=0.0)
        code = (
            "import sys; from studbook.login_tokens import StoredLogin; "
            "from studbook import login_provider; print('ready', flush=True); "
            f"sys.stdin.readline(); print(StoredLogin({address!r}).token())"
        )
        arguments = [sys.executable, "-c", code]
        pipe = subprocess.PIPE
        crowd = [subprocess.Popen(arguments, stdin=pipe, stdout=pipe, text=True) for _ in range(3)]
        for process in crowd:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in crowd:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        tokens = {process.communicate(timeout=60)[0] for process in crowd}

        assert len(tokens) == 1
        kept = logins.find(address)
        assert kept is not None
        assert tokens == {f"{kept.access_token}\n"}
        self.keep(address, logins, kept, expires_at=0.0)
        assert StoredLogin(address).token() not in {None, kept.access_token}

    @pytest.mark.parametrize("error", ["temporarily_unavailable", "invalid_client"])
    def test_refusal_that_may_pass_does_not_end_the_login(
        self, address: str, logins: StoredLogins, ada: Login, error: str
    ) -> None:
        with scripted_provider() as provider:
            provider.answers["/token"] = [(400, {"error": error})]
            at = f"{provider.issuer}/token"
            self.keep(address, logins, ada, expires_at=0.0, token_endpoint=at)

            with pytest.raises(Unauthenticated, match=error):
                StoredLogin(address).token()
        assert logins.find(address) is not None

    def test_for_a_stream_it_is_renewed_when_half_of_its_life_is_over(
        self, address: str, logins: StoredLogins, ada: Login
    ) -> None:
        now = time.time()
        self.keep(address, logins, ada, obtained_at=now - 1700, expires_at=now + 1900)
        assert StoredLogin(address).lasting_token() == ada.access_token

        self.keep(address, logins, ada, obtained_at=now - 1900, expires_at=now + 1700)
        assert StoredLogin(address).token() == ada.access_token
        assert StoredLogin(address).lasting_token() != ada.access_token

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


@pytest.mark.parametrize(
    ("life_s", "left_s", "due", "due_for_a_stream"),
    [
        (3600, 61, False, True),
        (3600, 59, True, True),
        (3600, 1801, False, False),
        (3600, 1799, False, True),
        # Some providers' tokens live for a minute: they must not be renewed for each call.
        (60, 40, False, False),
        (60, 16, False, True),
        (60, 14, True, True),
    ],
)
def test_how_long_before_its_end_a_token_is_renewed(
    life_s: float, left_s: float, *, due: bool, due_for_a_stream: bool
) -> None:
    expires_at = time.time() + left_s
    made = Login("a", expires_at, obtained_at=expires_at - life_s)

    assert made.is_due() == due
    assert made.is_due(lasting=True) == due_for_a_stream
