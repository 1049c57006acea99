"""Where tokens come from, and when they are renewed."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from studbook.credentials import (
    FileToken,
    FixedToken,
    NoToken,
    default_token_source,
)
from studbook.exceptions import InvalidArgument
from studbook.stored_logins import Login, StoredLogins
from studbook.token_claims import expiry_of

if TYPE_CHECKING:
    from pathlib import Path


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


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "a.W10.c", "a.e30.c", "a.eyJleHAiOiJ4In0.c"])
def test_expiry_of_what_does_not_say(token: str) -> None:
    assert expiry_of(token) is None


def test_expiry_of_a_token() -> None:
    assert expiry_of("a.eyJleHAiOjEyM30.c") == 123.0
