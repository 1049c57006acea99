"""How many metrics there may be, as administrators set it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service_chassis.errors import quota_exceeded, quote

if TYPE_CHECKING:
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class MetricLimits:
    """Limits that batches of metrics are held to.

    Attributes:
        points_per_batch: Most points of a batch.
        run_metrics: Most metrics of a run.
    """

    points_per_batch: int
    run_metrics: int

    def check_run_metrics(self, stored: int, new: Collection[str]) -> None:
        """Make sure that a run may have these metrics beside those that are stored.

        Raises:
            StudbookError: QUOTA_EXCEEDED.
        """
        wanted = stored + len(new)
        if wanted > self.run_metrics:
            raise quota_exceeded(
                "run_metrics",
                self.run_metrics,
                wanted,
                f"The run has {stored} metrics and series.key names {len(new)} new ones, such as "
                f"{quote(min(new))}; runs may have {self.run_metrics}. Log one table or histogram "
                "rather than a metric for each of many things, leave steps and ids out of the "
                "keys, or have the limit raised.",
                stored=str(stored),
            )
