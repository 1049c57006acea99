"""What the tests of the pages share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.gateway.web.served_pages import LoginIssuer, Pages, serving_pages

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pages]:
    with (
        LoginIssuer() as issuer,
        serving_pages(issuer, tmp_path_factory.mktemp("pages")) as served,
    ):
        yield served


@pytest.fixture
def pages(served: Pages) -> Pages:
    """The pages, with nobody signed in and a provider that behaves."""
    served.begin_anew()
    return served


@pytest.fixture
def login_issuer(pages: Pages) -> LoginIssuer:
    """Where people log in to `pages`."""
    return pages.issuer
