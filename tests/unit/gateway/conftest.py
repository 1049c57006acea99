"""What the tests of the gateway share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.unit.gateway.loopback_issuer import LoopbackIssuer

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def http_issuer() -> Iterator[LoopbackIssuer]:
    """An issuer of the test's own."""
    with LoopbackIssuer() as issuer:
        yield issuer


@pytest.fixture(params=[False, True], ids=["behind", "mounted"])
def mounted(request: pytest.FixtureRequest) -> bool:
    """Whether the service runs in the gateway's process, or behind it."""
    return bool(request.param)
