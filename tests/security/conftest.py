"""Studbook as an attacker meets it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from local_stack.ports import Ports
from local_stack.stack import LocalStack
from tests.plain_browser import SESSION
from tests.security.castle import Castle
from tests.security.visitor import Target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.security.visitor import Visitor


@pytest.fixture(scope="session")
def whole_castle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Castle]:
    with pytest.MonkeyPatch.context() as patch:
        # Patience that the attacks on it need not outwait for minutes.
        patch.setenv("STUDBOOK_GATEWAY_STALLED_STREAM_SECONDS", "5")
        with Castle(tmp_path_factory.mktemp("castle")) as running:
            yield running


@pytest.fixture
def castle(whole_castle: Castle) -> Iterator[Castle]:
    """A running Studbook, which must stand after the attack as it stood before."""
    yield whole_castle
    whole_castle.check_that_it_stands()


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The pages of a running Studbook."""
    with LocalStack(tmp_path_factory.mktemp("stack"), Ports.from_base(0)) as stack:
        yield Target(stack)


@pytest.fixture
def visitor(web: Target) -> Iterator[Visitor]:
    """A browser in which nobody has signed in."""
    with web.visitor() as browser:
        yield browser


@pytest.fixture
def ada(web: Target) -> Iterator[Visitor]:
    """A browser in which ada has signed in, once for all tests that do not sign her out."""
    with web.visitor() as browser:
        browser.cookies = dict(web.cookies_of_ada)
        if browser.who != "user:dev:ada":
            browser.sign_in("ada")
            web.cookies_of_ada = {SESSION: browser.cookies[SESSION]}
        yield browser
