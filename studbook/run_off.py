"""The run of `STUDBOOK_MODE=off`: takes everything and does nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from studbook.record_folder import RunFolder
from studbook.run import Run
from studbook.run_config import RunConfig
from studbook.run_recorder import RunRecorder
from studbook.run_records import DatasetUse
from studbook.run_session import attach_to, no_longer_active

if TYPE_CHECKING:
    from collections.abc import Mapping

    from studbook.run_ending import Ending
    from studbook.run_records import RunStart
    from studbook.shipper import Shipper


class OffRun(Run):
    """A run that is not recorded: for unit tests of programs that log.

    Nothing is written, nothing sent, no file read, no data hashed.
    """

    def __init__(self, start: RunStart) -> None:
        # Not that of Run: there are no threads and no files.
        RunRecorder.__init__(self, start, RunFolder.of(start.run, Path()), None)
        self.config = RunConfig(lambda _values: None, lambda _change: None)

    @property
    def refusals(self) -> list[str]:
        """Nothing."""
        return []

    def begin(self) -> None:
        """Nothing."""

    def log(self, values: Mapping[str, Any], step: int | None = None) -> None:
        """Nothing."""

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Nothing."""

    def use_dataset(self, data: Any, *, name: str = "", role: str = "training", **_: Any) -> Any:
        """A record without a digest: the data is not read."""
        return DatasetUse(name=name, role=role, digest="", format="")

    def log_artifact(self, path: Path | str, name: str | None = None, **_: Any) -> list[str]:
        """No paths: the file is not read."""
        return []

    def log_figure(self, figure: Any, path: str) -> str:
        """The path; the figure is not drawn."""
        return path

    def log_confusion_matrix(self, *_: Any, **__: Any) -> list[str]:
        """No paths."""
        return []

    def log_model(self, model: Any, **_: Any) -> list[str]:
        """No paths: the model is not saved."""
        return []

    def flush(self, timeout: float | None = None) -> None:
        """Nothing."""

    def mark_preempting(self) -> None:
        """Nothing."""

    def end(self, ending: Ending, *, hurried: bool = False) -> None:
        """Only that it is no longer the active run."""
        self._finished = True
        no_longer_active(self)

    def __reduce__(self) -> tuple[Any, ...]:
        return attach_to, (self._start, "off")

    def continue_after_fork(self) -> Shipper | None:
        """Nothing."""
        return None
