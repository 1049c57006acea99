"""The page on identity providers says what the gateway takes, and what its log says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.access_file import PeopleIssuer
from gateway.access_rules import load_rules

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "identity-providers.md").read_text()
BLOCKS = re.findall(
    r"^## ([^\n]+)\n(?:(?!^## ).)*?```yaml\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE
)


@pytest.mark.parametrize(("name", "block"), BLOCKS, ids=[name for name, _ in BLOCKS])
def test_block_is_accepted(name: str, block: str) -> None:
    (issuer,) = load_rules(f"version: 1\n{block}").issuers.values()
    settings = issuer.settings
    assert isinstance(settings, PeopleIssuer)
    assert settings.login is not None
    assert "openid" in settings.login.scope.split()
    assert (settings.bearer == "id_token") == (settings.audience == settings.login.client_id)
    assert f"## {name}" in PAGE


def test_checks_of_the_table_are_those_of_the_log() -> None:
    table = PAGE.partition("| `check` |")[2].partition("\n\n")[0]
    named = re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)
    code = "".join(path.read_text() for path in (ROOT / "gateway").glob("token_*.py"))
    assert len(named) > 5
    for check in named:
        # Of a header that is not taken, the name is put in.
        assert f'"{check}"' in code or f'"{check.removeprefix("header ")}"' in code
