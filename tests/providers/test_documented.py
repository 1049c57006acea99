"""What the tests log in with is what the page on identity providers says."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

if TYPE_CHECKING:
    from tests.providers.provider import Provider

PAGE = Path(__file__).resolve().parents[2] / "docs" / "identity-providers.md"
# Addresses differ, and what the page says in words.
ELSEWHERE = {"url", "audience", "groups_claim", "introspection"}


def _without_addresses(settings: dict[str, Any]) -> dict[str, Any]:
    login = {name: re.sub(r":\d+/", ":PORT/", value) for name, value in settings["login"].items()}
    kept = {name: value for name, value in settings.items() if name not in ELSEWHERE}
    return kept | {"login": login}


def test_page_has_the_tested_block(provider: Provider) -> None:
    if provider.name == "development":
        pytest.skip("the development issuer is configured by `studbook up`")
    section = re.split(
        rf"^## {provider.name} \(tested\)$",
        PAGE.read_text(),
        flags=re.MULTILINE | re.IGNORECASE,
    )[1]
    block = section.partition("```yaml\n")[2].partition("```")[0]
    (documented,) = yaml.safe_load(block)["issuers"].values()
    assert _without_addresses(documented) == _without_addresses(provider.settings)
