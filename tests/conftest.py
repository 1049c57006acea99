"""What all tests share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

# How long one example takes says more of the machine, and of what else it does, than of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="session", autouse=True)
def asyncio_grpc_outlives_the_tests() -> None:
    """Keep gRPC's asyncio machinery from being torn down between tests.

    It is shut down with the last object that uses it, by the garbage collector, and waits then
    for calls that were cut short on purpose and can never end. A server process uses it once, for
    as long as it lives; so do the tests.
    """

    async def hold() -> None:
        grpc.aio.init_grpc_aio()  # type: ignore[attr-defined] # not in the stubs

    asyncio.run(hold())


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A real browser, shared by the tests of a module."""
    from tests.browser import chromium  # noqa: PLC0415 - only few tests need it

    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page without cookies or anything else of other tests."""
    context = browser.new_context()
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()
