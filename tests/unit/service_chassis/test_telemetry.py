"""Lines of the log: one JSON object each, whatever is in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FULL = Path("/dev/full")

PROGRAM = """
import json, sys, structlog
from service_chassis.telemetry import configure_logging

configure_logging("registry")
said = eval(sys.argv[1])
structlog.get_logger("studbook.tests").info("call", said=said)
"""


def logged(said: str) -> tuple[bytes, dict[str, object]]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, said], capture_output=True, check=True)
    [line] = done.stderr.splitlines()
    return line, json.loads(line)


def test_line_says_what_happened_where_and_when() -> None:
    _, line = logged("{'a': 1}")
    assert str(line.pop("timestamp")).endswith("Z")
    assert line == {"event": "call", "level": "info", "component": "registry", "said": {"a": 1}}


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("'J\\u00fcrgen'", "J\u00fcrgen"),
        # What would end a line, or turn a terminal's letters around.
        ("'a\\nb\\u2028\\x9b1m\\u202e'", "a\nb\u2028\x9b1m\u202e"),
        ("'\\ud800'", "\ud800"),
        ("2 ** 70", 2**70),
        ("b'\\xff'", "b'\\xff'"),
        ("float('inf')", None),
    ],
)
def test_line_is_plain_ascii_and_says_it_all(said: str, expected: object) -> None:
    written, line = logged(said)
    assert written.isascii()
    assert line["said"] == expected


@pytest.mark.skipif(not FULL.exists(), reason="there is no device that is always full")
def test_a_full_disk_takes_the_line_and_nothing_else() -> None:
    with FULL.open("wb") as full:
        command = [sys.executable, "-c", PROGRAM + "print('went on')", "1"]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=full, check=True)
    assert done.stdout == b"went on\n"
