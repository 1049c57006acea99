"""What all tests share."""

from __future__ import annotations

import asyncio

import grpc
import pytest
from hypothesis import settings

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
