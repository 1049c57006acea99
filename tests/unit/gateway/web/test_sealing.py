"""What is sealed can be read and changed by nobody else, and keys can be changed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest
from cryptography.fernet import Fernet

from gateway.web.sealing import Sealer, read_keys

if TYPE_CHECKING:
    from pathlib import Path

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


def test_what_was_sealed_is_opened() -> None:
    sealer = Sealer([OLD])
    assert sealer.open("login", sealer.seal("login", {"state": "s"}), 60) == {"state": "s"}


def test_nothing_passes_for_something_else() -> None:
    sealer = Sealer([OLD])
    assert sealer.open("session", sealer.seal("login", {"id": "s"}), 60) is None


def test_every_changed_character_is_noticed() -> None:
    sealer = Sealer([OLD])
    sealed = sealer.seal("login", {"state": "s"})
    for place, character in enumerate(sealed.rstrip("=")):
        other = "B" if character == "A" else "A"
        changed = sealed[:place] + other + sealed[place + 1 :]
        # The last character of the padding holds bits that mean nothing.
        opened = sealer.open("login", changed, 60)
        assert opened is None or place == len(sealed.rstrip("=")) - 1


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é" * 50, "A" * 100_000])
def test_rubbish_is_nothing(text: str) -> None:
    assert Sealer([OLD]).open("login", text, 60) is None


def test_it_is_good_for_a_time() -> None:
    long_ago = Fernet(OLD).encrypt_at_time(b'{"for": "login"}', int(time.time()) - 61).decode()
    assert Sealer([OLD]).open("login", long_ago, 60) is None
    assert Sealer([OLD]).open("login", long_ago, 600) == {}


def test_keys_can_be_changed_without_a_pause() -> None:
    sealed_before = Sealer([OLD]).seal("login", {})
    assert Sealer([NEW, OLD]).open("login", sealed_before, 60) == {}
    # The first key seals, and once the old one is gone, so is what it sealed.
    assert Sealer([NEW]).open("login", Sealer([NEW, OLD]).seal("login", {}), 60) == {}
    assert Sealer([NEW]).open("login", sealed_before, 60) is None


def test_keys_stand_one_a_line(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text(f"# since March\n{NEW}\n\n{OLD}\n")
    assert read_keys(file) == [NEW, OLD]


@pytest.mark.parametrize(
    "text",
    ["", "# none\n", "not a key\n", "ä\n", pytest.param(f"{OLD}\n{OLD[:20]}\n", id="cut off")],
)
def test_a_file_that_is_no_good_is_fatal(tmp_path: Path, text: str) -> None:
    file = tmp_path / "keys"
    file.write_text(text)
    with pytest.raises(SystemExit, match=r"python -m local_stack\.keys"):
        read_keys(file)
