"""Logins sealed with a key in the system keyring, where there is one."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import keyring
import keyring.backend
import keyring.core
import pytest
from keyring.backends.chainer import ChainerBackend
from keyring.core import load_keyring
from keyring.errors import KeyringLocked

from studbook.exceptions import InvalidArgument, StudbookError
from studbook.keyring_seal import system_keyring
from studbook.stored_logins import Login, StoredLogins

if TYPE_CHECKING:
    from pathlib import Path

FAIL, NULL = "keyring.backends.fail.Keyring", "keyring.backends.null.Keyring"
LOGIN = Login("secret-access" * 400, 1.5, "secret-refresh", id_token="secret-id")


class MemoryKeyring(keyring.backend.KeyringBackend):
    """A keyring with no more room than that of Windows, registered through keyring's own API."""

    # Not to be found by the library itself, for other tests.
    priority = 0.1
    name = "Memory"

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        assert len(password.encode("utf-16-le")) <= 2560
        self.entries[service, username] = password


class LockedKeyring(MemoryKeyring):
    def get_password(self, service: str, username: str) -> str | None:
        message = "it is locked"
        raise KeyringLocked(message)


@pytest.fixture(autouse=True)
def _automatic(logins: StoredLogins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUDBOOK_KEYRING", "auto")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(keyring.core, "_keyring_backend", load_keyring(FAIL))


@pytest.fixture
def memory() -> MemoryKeyring:
    return use(MemoryKeyring())


def use(chosen: MemoryKeyring) -> MemoryKeyring:
    chosen.priority = 5
    keyring.set_keyring(chosen)
    return chosen


def keep(login: Login = LOGIN) -> StoredLogins:
    store = StoredLogins()
    with store.locked():
        store.save("one:1", login)
    return store


def found() -> Login | None:
    return StoredLogins().find("one:1")


class TestWithKeyring:
    def test_file_holds_no_token(self, memory: MemoryKeyring) -> None:
        store = keep()

        assert "secret" not in store.path.read_text()
        assert stat.S_IMODE(store.path.stat().st_mode) == 0o600
        assert found() == LOGIN
        assert store.kept() == f"{store.path}, sealed with a key in the system keyring (Memory)"

    def test_keyring_holds_the_key_only(self, memory: MemoryKeyring) -> None:
        keep()
        keep(Login("another"))

        ((service, _),) = memory.entries
        assert service == "studbook"
        assert found() == Login("another")

    def test_forgotten_logins_are_gone(self, memory: MemoryKeyring) -> None:
        store = keep()
        with store.locked():
            store.remove("one:1")

        assert found() is None

    def test_lost_key_is_told_with_a_remedy(self, memory: MemoryKeyring) -> None:
        store = keep()
        memory.entries.clear()

        with pytest.raises(StudbookError, match="no system keyring here has") as caught:
            found()
        assert str(store.path) in caught.value.message
        assert "Remove the file" in caught.value.next_step

    def test_other_key_is_told(self, memory: MemoryKeyring) -> None:
        keep()
        (entry,) = memory.entries
        memory.entries[entry] = "A" * 43 + "="

        with pytest.raises(StudbookError, match="another key"):
            found()

    def test_altered_file_is_told(self, memory: MemoryKeyring) -> None:
        store = keep()
        text = store.path.read_text()
        position = text.index("sealed") + 30
        other = "B" if text[position] == "A" else "A"
        store.path.write_text(text[:position] + other + text[position + 1 :])

        with pytest.raises(StudbookError, match="cannot be read"):
            found()

    def test_login_from_before_is_sealed_with_the_next_change(
        self, memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("STUDBOOK_KEYRING", "off")
        assert "secret-access" in keep().path.read_text()

        monkeypatch.setenv("STUDBOOK_KEYRING", "auto")
        assert found() == LOGIN
        assert "secret-access" not in keep().path.read_text()

    def test_what_is_sealed_stays_sealed_without_a_desktop(
        self, memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keep()
        monkeypatch.setattr(MemoryKeyring, "__module__", "keyring.backends.SecretService")
        monkeypatch.delenv("DISPLAY")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

        assert found() == LOGIN
        assert "secret" not in keep().path.read_text()

    def test_off_goes_back_to_the_plain_file(
        self, memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        keep()
        monkeypatch.setenv("STUDBOOK_KEYRING", "off")

        assert found() == LOGIN
        store = keep()
        assert "secret-refresh" in store.path.read_text()
        assert store.kept() == f"{store.path}, which only you can read"


class TestChoice:
    @pytest.mark.parametrize(
        "backend", [load_keyring(FAIL), load_keyring(NULL)], ids=["fail", "null"]
    )
    def test_what_keeps_nothing_is_no_keyring(
        self, backend: keyring.backend.KeyringBackend
    ) -> None:
        keyring.set_keyring(backend)

        assert system_keyring() is None
        assert "secret-access" in keep().path.read_text()

    def test_plain_text_keyrings_are_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        use(MemoryKeyring())
        monkeypatch.setattr(MemoryKeyring, "__module__", "keyrings.alt.file")

        assert system_keyring() is None

    def test_what_calls_itself_unfit_is_none(self) -> None:
        use(MemoryKeyring()).priority = 0.5

        assert system_keyring() is None

    def test_of_several_the_first_that_is_fit(self, monkeypatch: pytest.MonkeyPatch) -> None:
        real = use(MemoryKeyring())
        monkeypatch.setattr(ChainerBackend, "backends", [load_keyring(NULL), real])
        keyring.set_keyring(load_keyring("keyring.backends.chainer.ChainerBackend"))

        assert system_keyring() is real

    def test_library_that_is_not_installed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "keyring", None)

        assert system_keyring() is None
        assert "secret-access" in keep().path.read_text()

    def test_without_a_desktop_its_keyring_could_not_ask(
        self, memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(MemoryKeyring, "__module__", "keyring.backends.SecretService")
        monkeypatch.delenv("DISPLAY")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
        assert "secret-access" in keep().path.read_text()

        monkeypatch.setenv("STUDBOOK_KEYRING", "on")
        assert "secret-access" not in keep().path.read_text()

    def test_without_a_desktop_any_other_is_used(
        self, memory: MemoryKeyring, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("DISPLAY")
        monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)

        assert "secret-access" not in keep().path.read_text()

    def test_locked_keyring(self, monkeypatch: pytest.MonkeyPatch) -> None:
        use(LockedKeyring())
        assert "secret-access" in keep().path.read_text()

        monkeypatch.setenv("STUDBOOK_KEYRING", "on")
        with pytest.raises(StudbookError, match="it is locked"):
            keep()

    def test_no_keyring_where_there_must_be_one(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUDBOOK_KEYRING", "on")

        with pytest.raises(StudbookError, match="there is none") as caught:
            keep()
        assert "studbook[keyring]" in caught.value.next_step
        assert found() is None

    def test_setting_that_is_none(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("STUDBOOK_KEYRING", "yes")

        with pytest.raises(InvalidArgument, match="auto, on or off"):
            keep()


BUS = shutil.which("dbus-run-session") or ""
# An unlocked Secret Service, as a desktop has one.
DESKTOP = """
printf password | gnome-keyring-daemon --unlock --components=secrets > /dev/null 2>&1
"$1" -c "$2" save && "$1" -c "$2" find
"""
PROGRAM = """
import sys
from studbook.keyring_seal import system_keyring
from studbook.stored_logins import Login, StoredLogins
store = StoredLogins()
if sys.argv[1] == "save":
    with store.locked():
        store.save("one:1", Login("secret-access" * 400))
    assert "secret" not in store.path.read_text()
    print(store.kept())
else:
    assert store.find("one:1") == Login("secret-access" * 400)
    print("found")
"""


@pytest.mark.skipif(
    not BUS or not shutil.which("gnome-keyring-daemon"), reason="needs dbus and gnome-keyring"
)
def test_in_a_real_keyring(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "HOME": str(tmp_path),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "STUDBOOK_CONFIG_DIR": str(tmp_path / "config"),
        "STUDBOOK_KEYRING": "on",
    }
    done = subprocess.run(
        [BUS, "--", "sh", "-c", DESKTOP, "sh", sys.executable, PROGRAM],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    kept, found_again = done.stdout.splitlines()
    assert "SecretService" in kept
    assert found_again == "found"
