"""The providers, each beside the others, and one gateway for all."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.providers.canaille import Canaille
from tests.providers.development import Development
from tests.providers.installation import Installation
from tests.providers.node_provider import NODE, NPM, NodeProvider
from tests.providers.terminal import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from playwright.sync_api import Browser, Page

    from tests.providers.provider import Provider

KINDS = (Development, Canaille, NodeProvider)


@pytest.fixture(scope="session")
def providers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mapping[str, Provider]]:
    """Every provider that can run on this machine, by name."""
    folder = tmp_path_factory.mktemp("providers")
    with ExitStack() as running:
        started: dict[str, Provider] = {}
        for kind in KINDS:
            if kind is not NodeProvider or (NODE and NPM):
                started[kind.name] = kind(folder)
                running.callback(started[kind.name].stop)
        for provider in started.values():
            provider.wait_until_ready()
        yield started


@pytest.fixture(scope="session")
def installation(
    providers: Mapping[str, Provider], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Installation]:
    with Installation(tmp_path_factory.mktemp("installation"), list(providers.values())) as running:
        yield running


@pytest.fixture(scope="session", params=[kind.name for kind in KINDS])
def provider(request: pytest.FixtureRequest, providers: Mapping[str, Provider]) -> Provider:
    if request.param not in providers:
        pytest.skip(f"{request.param} needs node and npm, which this machine does not have")
    return providers[request.param]


@pytest.fixture
def terminal(installation: Installation, provider: Provider, tmp_path: Path) -> Terminal:
    """A terminal at which nobody has logged in."""
    return Terminal(installation.address, provider.name, tmp_path)


def log_in(provider: Provider, terminal: Terminal, page: Page, person: str) -> None:
    """Log somebody in at a terminal, through the provider's pages."""
    with terminal.asking("login") as url:
        page.goto(url)
        provider.log_in(page, person)
        page.wait_for_selector("text=Back to your terminal")


@pytest.fixture(scope="module")
def ada(
    installation: Installation,
    provider: Provider,
    browser: Browser,
    tmp_path_factory: pytest.TempPathFactory,
) -> Terminal:
    """A terminal at which ada has logged in, for tests that leave it so."""
    terminal = Terminal(installation.address, provider.name, tmp_path_factory.mktemp("ada"))
    with browser.new_context() as context:
        context.set_default_timeout(60_000)
        log_in(provider, terminal, context.new_page(), "ada")
    return terminal
