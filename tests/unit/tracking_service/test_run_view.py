"""The parts of runs that can be asked for are those that the contract knows."""

from __future__ import annotations

import pytest

from service_chassis.errors import StudbookError
from studbook.tracking.v1.run_pb2 import Run
from tracking_service.run_view import EVERYTHING, MOST_PATHS, read_view


def test_every_field_of_the_contract_can_be_asked_for() -> None:
    fields = set(Run.DESCRIPTOR.fields_by_name)

    assert EVERYTHING.fields == fields
    assert read_view(sorted(fields)).unwanted == frozenset()


def test_there_is_a_limit() -> None:
    read_view([f"params.p{number}" for number in range(MOST_PATHS)])
    with pytest.raises(StudbookError, match="257"):
        read_view([f"params.p{number}" for number in range(MOST_PATHS + 1)])
