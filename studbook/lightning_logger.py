"""A logger for PyTorch Lightning.

    from studbook.lightning_logger import LightningLogger

    trainer = Trainer(logger=LightningLogger("vibration"))

Takes Lightning, under either of its names.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from studbook.logged_values import NotLoggable
from studbook.run_session import init

try:
    from lightning.pytorch.loggers.logger import Logger, rank_zero_experiment
    from lightning.pytorch.utilities import rank_zero_only
except ImportError:
    from pytorch_lightning.loggers.logger import Logger, rank_zero_experiment
    from pytorch_lightning.utilities import rank_zero_only

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Mapping

    from studbook.run import Run

__all__ = ["LightningLogger"]

_log = logging.getLogger("studbook")


class LightningLogger(Logger):
    """Records what a `Trainer` logs: metrics, hyperparameters and, if asked to, checkpoints.

    The run is begun by the first process when there is something to log, and ends with the
    program, so that `trainer.test` after `trainer.fit` logs into the same. `logger.experiment` is
    the run, for whatever else there is to record.

    Args:
        experiment: Id of the experiment.
        run: A run to log into; None: one is begun.
        checkpoints: Whether the checkpoints that Lightning keeps are stored with the run, when a
            training ends.
        **options: As for `studbook.init`.
    """

    def __init__(
        self,
        experiment: str,
        *,
        run: Run | None = None,
        checkpoints: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        self._experiment_id = experiment
        self._options = options
        self._run = run
        self._stores_checkpoints = checkpoints
        self._checkpoints: list[str] = []

    @property
    def name(self) -> str:
        """Id of the experiment."""
        return self._experiment_id

    @property
    def version(self) -> str | None:
        """Id of the run; None before it has begun."""
        return self._run.id if self._run else None

    @property
    @rank_zero_experiment
    def experiment(self) -> Run:
        """The run, in the first process; in all others an object that takes everything."""
        if self._run is None:
            self._run = init(self._experiment_id, **self._options)
        return self._run

    @rank_zero_only
    def log_hyperparams(
        self, params: Mapping[str, Any] | Namespace, metrics: Mapping[str, Any] | None = None
    ) -> None:
        """Record parameters, and metrics that belong to them."""
        try:
            self.experiment.config.update(params)
        except NotLoggable as error:
            _log.warning("Studbook: hyperparameters are not recorded: %s", error)
        if metrics:
            self.experiment.log(metrics)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record metrics."""
        self.experiment.log(metrics, step)

    @rank_zero_only
    def after_save_checkpoint(self, checkpoint_callback: Any) -> None:
        """Note which checkpoints there are now; they change until the training ends."""
        if self._stores_checkpoints:
            kept = getattr(checkpoint_callback, "best_k_models", None) or {}
            last = getattr(checkpoint_callback, "last_model_path", "")
            best = getattr(checkpoint_callback, "best_model_path", "")
            self._checkpoints = [path for path in dict.fromkeys((*kept, best, last)) if path]

    @rank_zero_only
    def finalize(self, status: str) -> None:
        """Store the checkpoints. How the run ends, the end of the program tells better."""
        for path in map(Path, self._checkpoints):
            if path.exists():  # else a better one has taken its place
                self.experiment.log_artifact(path, f"checkpoints/{path.name}")
        self._checkpoints = []
