from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import httpx
import pytest

from tests.unit.dev_issuer.login_attempt import LoginAttempt

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.conftest import ServedIssuer


@pytest.fixture
def http(issuer: ServedIssuer) -> Iterator[httpx.Client]:
    parts = urlsplit(issuer.url)
    with httpx.Client(base_url=f"{parts.scheme}://{parts.netloc}") as client:
        yield client


@pytest.fixture
def attempt(http: httpx.Client) -> LoginAttempt:
    return LoginAttempt(http)
