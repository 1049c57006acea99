"""How much one run may hold beside metrics and files, as administrators set it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from service_chassis.errors import quota_exceeded, quote

if TYPE_CHECKING:
    from collections.abc import Collection

    from tracking_service.records import Param


@dataclass(frozen=True, slots=True)
class RunLimits:
    """Limits that runs are held to.

    Attributes:
        param_bytes: Most bytes that the parameters of a run take.
        inputs: Most uses of datasets by a run.
        answer_bytes: Largest answer about runs.
    """

    param_bytes: int
    inputs: int
    answer_bytes: int

    def check_params(self, stored: Collection[Param], new: Collection[Param]) -> None:
        """Make sure that a run may have these parameters beside those that are stored.

        Raises:
            StudbookError: QUOTA_EXCEEDED.
        """
        if not new:
            return
        before = sum(param.size for param in stored)
        wanted = before + sum(param.size for param in new)
        if wanted > self.param_bytes:
            largest = max(new, key=lambda param: param.size)
            raise quota_exceeded(
                "run_param_bytes",
                self.param_bytes,
                wanted,
                f"The run's parameters take {before} bytes, keys included, and the new ones would "
                f"make that {wanted}, most of all params[{quote(largest.key)}]; they may take "
                f"{self.param_bytes}. Log long texts as files, or have the limit raised.",
                stored=str(before),
            )

    def check_inputs(self, stored: int, new: int) -> None:
        """Make sure that a run may use datasets so many times more.

        Raises:
            StudbookError: QUOTA_EXCEEDED.
        """
        wanted = stored + new
        if new and wanted > self.inputs:
            raise quota_exceeded(
                "run_inputs",
                self.inputs,
                wanted,
                f"The run uses datasets {stored} times and dataset_inputs has {new} further uses; "
                f"runs may have {self.inputs}. Register what belongs together as one dataset, a "
                "folder or a glob, or have the limit raised.",
                stored=str(stored),
            )
