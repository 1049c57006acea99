from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.store.registry.seeding import Clock, Stud

if TYPE_CHECKING:
    from collections.abc import Callable

    from service_chassis.database import Database


@pytest.fixture
def stud(database_factory: Callable[[str], Database]) -> Stud:
    """An empty registry on the backend under test, with a clock of its own."""
    return Stud(database_factory("registry_service"), Clock())
