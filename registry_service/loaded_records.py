"""Reports of what was loaded, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from service_chassis.caller import Principal


class Match(IntEnum):
    """How what was loaded compares with what is in Production; the numbers of the contract."""

    PRODUCTION = 1
    OTHER_VERSION = 2
    OTHER_BYTES = 3


@dataclass(frozen=True, slots=True)
class Retention:
    """Which reports are kept.

    Attributes:
        kept_us: How long, in microseconds.
        instances: How many of each caller and model, the latest.
    """

    kept_us: int
    instances: int


@dataclass(frozen=True, slots=True)
class LoadedReport:
    """The last report of an instance about a model.

    Attributes:
        load_us: When it was loaded, by the instance's clock.
        report_us: When that was reported, by the registry's.
    """

    model_uid: str
    instance: str
    version_uid: str
    version: str
    digest: str
    load_us: int
    report_us: int
    reporter: Principal
    match: Match
