"""Every setting of the client stands in its documentation, and no other."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

from studbook.client_settings import ClientSettings

ROOT = Path(__file__).resolve().parents[2]
# Read by the command line alone, which documents it.
ELSEWHERE = {"STUDBOOK_FORCE_TTY"}


def test_the_settings_are_those_of_the_page() -> None:
    code = "".join(path.read_text() for path in (ROOT / "studbook").glob("*.py"))
    read = set(re.findall(r"STUDBOOK_[A-Z_]+[A-Z]", code)) - ELSEWHERE
    read |= {f"STUDBOOK_{field.name.upper()}" for field in dataclasses.fields(ClientSettings)}
    page = (ROOT / "docs" / "logging-runs.md").read_text().partition("\n## Settings\n")[2]
    table = "\n".join(line for line in page.splitlines() if line.startswith("|"))
    assert set(re.findall(r"STUDBOOK_[A-Z_]+[A-Z]", table)) == read


def test_the_defaults_are_those_of_the_page() -> None:
    page = (ROOT / "docs" / "logging-runs.md").read_text()
    for field in dataclasses.fields(ClientSettings):
        (row,) = re.findall(rf"^\|.*`STUDBOOK_{field.name.upper()}`.*$", page, re.MULTILINE)
        assert f"`{field.default}`" in row
