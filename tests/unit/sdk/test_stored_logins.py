"""The file that logins are kept in."""

from __future__ import annotations

import json
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from studbook.config_files import config_folder
from studbook.exceptions import StudbookError
from studbook.stored_logins import Login, StoredLogins


def keep(logins: StoredLogins, address: str, login: Login) -> None:
    with logins.locked():
        logins.save(address, login)


def test_logins_are_kept_by_server(logins: StoredLogins) -> None:
    first, second = Login("a", 1.5, "r", "i", "c", "t", "v", "s"), Login("b")
    keep(logins, "one:1", first)
    keep(logins, "two:2", second)

    assert logins.find("one:1") == first
    assert logins.find("two:2") == second
    assert logins.find("three:3") is None


def test_changes_of_other_processes_are_noticed(logins: StoredLogins) -> None:
    assert logins.find("one:1") is None

    for token in ("a", "b", "c"):
        keep(StoredLogins(), "one:1", Login(token))
        assert logins.find("one:1") == Login(token)
    logins.path.unlink()
    assert logins.find("one:1") is None


def test_only_the_owner_can_read_them(logins: StoredLogins) -> None:
    keep(logins, "one:1", Login("a"))

    assert stat.S_IMODE(logins.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(logins.path.parent.stat().st_mode) == 0o700
    assert {path.name for path in logins.path.parent.iterdir()} == {"logins.json", "logins.lock"}


def test_removed_login_is_gone(logins: StoredLogins) -> None:
    keep(logins, "one:1", Login("secret-token"))
    with logins.locked():
        logins.remove("one:1")
        logins.remove("two:2")

    assert logins.find("one:1") is None
    assert "secret-token" not in logins.path.read_text()


def test_parallel_writers_lose_nothing(logins: StoredLogins) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: keep(logins, f"host:{number}", Login("a")), range(24)))

    assert all(logins.find(f"host:{number}") for number in range(24))


def test_tokens_are_not_shown_in_tracebacks() -> None:
    shown = repr(Login("hidden-access", refresh_token="hidden-refresh", id_token="hidden-id"))

    assert "hidden" not in shown


def test_fields_of_a_later_version_are_passed_over(logins: StoredLogins) -> None:
    keep(logins, "one:1", Login("a"))
    content = json.loads(logins.path.read_text())
    content["logins"]["one:1"]["colour"] = "red"
    logins.path.write_text(json.dumps(content))

    assert logins.find("one:1") == Login("a")


@pytest.mark.parametrize("content", ["", "[]", '{"version": 1}', '{"logins": 3}'])
def test_broken_file_is_named_with_a_remedy(logins: StoredLogins, content: str) -> None:
    logins.path.parent.mkdir(parents=True)
    logins.path.write_text(content)

    with pytest.raises(StudbookError, match=r"logins\.json") as caught:
        logins.find("one:1")
    assert "studbook login" in caught.value.next_step


def test_config_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("STUDBOOK_CONFIG_DIR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert config_folder() == tmp_path / "studbook"

    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert config_folder() == Path.home() / ".config" / "studbook"
