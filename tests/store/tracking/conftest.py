from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.store.tracking.at_work import Tracking

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from service_chassis.database import Database


@pytest.fixture
def tracking(database_factory: Callable[[str], Database], tmp_path: Path) -> Tracking:
    """An empty tracking service on the backend under test, with one experiment."""
    tracking = Tracking(database_factory("tracking_service"), tmp_path / "artifacts")
    tracking.experiment()
    return tracking
