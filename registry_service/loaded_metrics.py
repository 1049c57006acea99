"""What instances have loaded, as a gauge for Prometheus, counted whenever it asks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from registry_service.loaded_records import Match
from service_chassis.errors import StudbookError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from registry_service.loaded_records import Retention
    from registry_service.registry_database import RegistryDatabase

_NAME = "studbook_loaded_instances"
_HELP = (
    "Instances by what they reported to have loaded: production, other_version (not what is in "
    "Production) or other_bytes (not the bytes of the version they named)."
)


class LoadedMetrics(Collector):
    """Counts the reports of every model by how they compare with what is in Production.

    Args:
        database: The registry's database.
        retention: Which reports count.
    """

    def __init__(self, database: RegistryDatabase, retention: Retention) -> None:
        self._database = database
        self._retention = retention

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """The gauge; left out while the database cannot be read."""
        try:
            counts = self._database.read_now(
                lambda store: store.loaded.counts(store.now_us() - self._retention.kept_us)
            )
        except StudbookError:
            return
        found = {(model, match): count for model, match, count in counts}
        gauge = GaugeMetricFamily(_NAME, _HELP, labels=["model", "match"])
        for model in sorted({model for model, _ in found}):
            for match in Match:
                gauge.add_metric([model, match.name.lower()], found.get((model, match), 0))
        yield gauge

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing, so that registering it asks the database nothing."""
        return ()
