"""Names for servers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from studbook.address import resolve_address
from studbook.cli.__main__ import run
from studbook.credentials import default_token_source
from studbook.exceptions import InvalidArgument, StudbookError
from studbook.profiles import Profile, Profiles
from studbook.stored_logins import Login, StoredLogins

if TYPE_CHECKING:
    from tests.unit.conftest import ServedIssuer

ONE, TWO = Profile("one", "one.example:7420"), Profile("two", "two.example:443")


@pytest.fixture(autouse=True)
def _no_address(logins: StoredLogins, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STUDBOOK_ADDRESS", raising=False)


class TestWhichServer:
    def test_without_profiles_this_machine(self) -> None:
        assert str(resolve_address()) == "127.0.0.1:7420"

    def test_from_the_narrowest_to_the_widest(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Profiles().use(ONE)
        Profiles().use(TWO)
        assert str(resolve_address()) == TWO.address

        monkeypatch.setenv("STUDBOOK_PROFILE", "one")
        assert str(resolve_address()) == ONE.address
        monkeypatch.setenv("STUDBOOK_ADDRESS", "three.example:1")
        assert str(resolve_address()) == "three.example:1"
        assert str(resolve_address("four.example:1")) == "four.example:1"

    def test_profile_that_there_is_not(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Profiles().use(ONE)
        monkeypatch.setenv("STUDBOOK_PROFILE", "tow")

        with pytest.raises(InvalidArgument, match="no profile tow; there are: one") as caught:
            resolve_address()
        assert "--profile tow --server" in caught.value.next_step

    def test_removed_profile_is_not_in_use(self) -> None:
        profiles = Profiles()
        profiles.use(ONE)
        profiles.use(TWO)
        profiles.remove(TWO)

        assert profiles.active() is None
        assert profiles.all() == [ONE]

    @pytest.mark.parametrize("content", ["", "[]", "{}", '{"profiles": 1, "in_use": ""}'])
    def test_broken_file_is_named_with_a_remedy(self, content: str) -> None:
        profiles = Profiles()
        profiles.path.parent.mkdir(parents=True)
        profiles.path.write_text(content)

        with pytest.raises(StudbookError, match=r"profiles\.json") as caught:
            resolve_address()
        assert "Remove the file" in caught.value.next_step


class TestWhichLogin:
    def keep(self, profile: Profile | None, address: str, token: str) -> None:
        store = StoredLogins(profile=profile)
        with store.locked():
            store.save(address, Login(token))

    def test_two_people_at_one_server(self, monkeypatch: pytest.MonkeyPatch) -> None:
        me, admin = Profile("me", ONE.address), Profile("admin", ONE.address)
        self.keep(None, ONE.address, "nobody's")
        for profile in (me, admin):
            Profiles().use(profile)
            self.keep(profile, profile.address, f"{profile.name}'s")

        assert default_token_source(ONE.address).token() == "admin's"
        monkeypatch.setenv("STUDBOOK_PROFILE", "me")
        assert default_token_source(ONE.address).token() == "me's"

    def test_token_goes_to_its_own_server_only(self) -> None:
        Profiles().use(ONE)
        self.keep(ONE, ONE.address, "for one")

        assert default_token_source(TWO.address).token() is None

    def test_program_keeps_its_login_when_another_profile_is_used(self) -> None:
        me, admin = Profile("me", ONE.address), Profile("admin", ONE.address)
        for profile in (admin, me):
            Profiles().use(profile)
            self.keep(profile, profile.address, f"{profile.name}'s")
        source = default_token_source(ONE.address)
        Profiles().use(admin)

        assert source.token() == "me's"


class TestForLogin:
    def test_new_one_needs_a_server(self) -> None:
        with pytest.raises(InvalidArgument, match="there are: none yet"):
            Profiles().for_login("one", "")
        assert Profiles().for_login("one", "one.example") == ONE

    def test_one_that_there_is_stays_at_its_server(self) -> None:
        Profiles().use(ONE)

        assert Profiles().for_login("one", "") == ONE
        with pytest.raises(InvalidArgument, match=r"is for one\.example:7420") as caught:
            Profiles().for_login("one", "evil.example")
        assert "profiles rm one" in caught.value.next_step

    @pytest.mark.parametrize("name", ["a@b", "", "-x", "a/b", "a b", "x" * 65])
    def test_names_that_are_none(self, name: str) -> None:
        with pytest.raises(InvalidArgument, match="no name"):
            Profiles().for_login(name, "one.example")


def test_commands(
    address: str,
    issuer: ServedIssuer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert run(["login", "--as", "ada", "--profile", "me", "--server", address]) == 0
    assert "Using the profile me" in capsys.readouterr().err
    Profiles().use(Profile("other", "other.example:443"))

    assert run(["profiles", "use", "me"]) == 0
    assert run(["whoami"]) == 0
    capsys.readouterr()
    assert run(["profiles", "ls"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        f"*\tme\t{address}\tyes",
        "\tother\tother.example:443\tnone",
    ]
    assert run(["profiles", "ls", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["active"] == "me"

    assert run(["profiles", "use", "nobody"]) != 0
    monkeypatch.setenv("STUDBOOK_ADDRESS", "else.example:443")
    assert run(["login", "--as", "ada", "--profile", "me"]) == 0
    assert "other commands call else.example:443" in capsys.readouterr().err
    assert run(["logout", "--profile", "me"]) == 0
    assert run(["profiles", "rm", "me"]) == 0
    assert f"No login at {address}." in capsys.readouterr().err
    assert [profile.name for profile in Profiles().all()] == ["other"]
