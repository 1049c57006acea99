"""Printed text is kept as a terminal would show it in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studbook.console_file import ConsoleFile, read_console
from studbook.console_recorder import ConsoleRecorder
from studbook.terminal_text import TerminalText

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "ghp_0123456789abcdefghijABCDEFGHIJ456789"


def shown(*parts: str) -> list[str]:
    lines: list[str] = []
    text = TerminalText(lines.extend)
    for part in parts:
        text.feed(part)
    text.close()
    return lines


@pytest.mark.parametrize(
    ("printed", "expected"),
    [
        ("a\nb\n", ["a", "b"]),
        ("a\nb", ["a", "b"]),
        ("", []),
        ("\n\n", ["", ""]),
        ("windows\r\nlines\r\n", ["windows", "lines"]),
        ("\r 10%\r 20%\r100%\ndone\n", ["100%", "done"]),
        ("long text\rab\n", ["abng text"]),
        ("long text\r\x1b[Kab\n", ["ab"]),
        ("\x1b[1;31mred\x1b[0m\n", ["red"]),
        ("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\n", ["ab"]),
        ("x\b\by\n", ["y"]),
        ("tab\tstays\n", ["tab\tstays"]),
        ("bell\x07 and nul\x00\n", ["bell and nul"]),
        ("one\ntwo\n\x1b[2A\x1b[2KONE\n", ["ONE", "two"]),
        ("a\nb\n\x1b[1A\x1b[Jc\n", ["a", "c"]),
        ("\x1b[5Cx\n", ["     x"]),
        ("\x1b[999999999999Ax\x1b[0Ay\n", ["xy"]),
    ],
)
def test_a_terminal_shows(printed: str, expected: list[str]) -> None:
    assert shown(printed) == expected
    # However the bytes are cut on their way.
    assert shown(*printed) == expected


def test_nested_progress_bars_are_folded() -> None:
    rounds = [f"outer {n}\ninner {n}\x1b[A\r" for n in range(50)]
    assert shown(*rounds, "outer done\ninner done\nend\n") == ["outer done", "inner done", "end"]


@given(st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=50), st.data())
def test_plain_text_stays_however_it_is_cut(text: str, data: st.DataObject) -> None:
    text = text.replace(" ", "_") + "\n"
    cut = data.draw(st.integers(0, len(text)))
    assert "\n".join(shown(text[:cut], text[cut:])) + "\n" == text


@given(st.lists(st.text("ab\r\n\b\x1b[]2;AKJmH 0", max_size=20), max_size=20))
def test_nothing_that_is_printed_breaks_it(parts: list[str]) -> None:
    assert shown(*parts) == shown("".join(parts))


def test_a_line_without_end_is_ended() -> None:
    lines = shown(*["x" * 10_000] * 100)
    assert sum(map(len, lines)) == 1_000_000
    assert max(map(len, lines)) < 50_000


def test_the_beginning_and_the_end_are_kept_of_much(tmp_path: Path) -> None:
    file = ConsoleFile(tmp_path / "console", 10_000)
    whole = b"".join(b"line %06d\n" % number for number in range(100_000))
    for start in range(0, len(whole), 12 * 97):
        file.append(whole[start : start + 12 * 97])
    kept = read_console(tmp_path / "console")
    head, remark, tail = kept.partition(b"\n[Studbook left out ")
    number, _, tail = tail.partition(b" bytes here; ")
    tail = tail.partition(b"\n\n")[2]
    assert remark
    assert len(kept) <= 10_000
    assert len(head) > 3000
    assert len(tail) > 3000
    assert whole.startswith(head)
    assert whole.endswith(tail)
    assert len(head) + int(number) + len(tail) == len(whole)


def test_a_line_that_is_longer_than_all_room_is_cut(tmp_path: Path) -> None:
    file = ConsoleFile(tmp_path / "console", 10_000)
    file.append(b"x" * 100_000 + b"\n")
    kept = read_console(tmp_path / "console")
    assert kept.endswith(b"x\n")
    assert 3000 < len(kept) <= 10_000


def test_nothing_printed_is_nothing_kept(tmp_path: Path) -> None:
    assert read_console(tmp_path / "console") == b""
    ConsoleRecorder(tmp_path / "console", 10_000).close()
    assert read_console(tmp_path / "console") == b""


def test_lines_that_may_change_are_kept_as_they_are_now(tmp_path: Path) -> None:
    recorder = ConsoleRecorder(tmp_path / "console", 10_000)
    recorder.feed(b"begin\n 10%")
    recorder.save()
    assert read_console(tmp_path / "console") == b"begin\n 10%\n"
    recorder.feed(b"\r 20%")
    recorder.save()
    assert read_console(tmp_path / "console") == b"begin\n 20%\n"
    recorder.close()
    assert read_console(tmp_path / "console") == b"begin\n 20%\n"
    recorder.feed(b"late")
    assert read_console(tmp_path / "console") == b"begin\n 20%\n"


def test_characters_are_whole_even_if_their_bytes_come_apart(tmp_path: Path) -> None:
    recorder = ConsoleRecorder(tmp_path / "console", 10_000)
    for part in (b"caf\xc3", b"\xa9 \xe2\x82", b"\xac \xff\n"):
        recorder.feed(part)
    recorder.close()
    assert read_console(tmp_path / "console").decode() == "café € \N{REPLACEMENT CHARACTER}\n"


def test_secrets_are_not_kept(tmp_path: Path) -> None:
    key = "-----BEGIN PRIVATE KEY-----\n" + "c2VjcmV0\n" * 100 + "-----END PRIVATE KEY-----\n"
    recorder = ConsoleRecorder(tmp_path / "console", 100_000)
    for line in (
        f"login {TOKEN} ok\n{key}after\n{TOKEN[:20]}\x1b[1m{TOKEN[20:]}\nend"
    ).splitlines():
        recorder.feed(f"{line}\n".encode())
        recorder.save()
        everything = b"".join(p.read_bytes() for p in (tmp_path / "console").iterdir())
        assert b"c2VjcmV0" not in everything
        assert TOKEN.encode() not in everything
    recorder.close()
    text = read_console(tmp_path / "console").decode()
    assert text.startswith("login *** ok\n")
    assert text.endswith("after\n***\nend\n")


def test_a_key_without_end_does_not_hide_all_that_follows(tmp_path: Path) -> None:
    recorder = ConsoleRecorder(tmp_path / "console", 10_000_000)
    recorder.feed("-----BEGIN PRIVATE KEY-----\n")
    for number in range(10_000):
        recorder.feed(f"line {number}\n")
    recorder.close()
    assert read_console(tmp_path / "console").endswith(b"line 9999\n")
