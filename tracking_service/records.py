"""What the tracking service keeps, as plain values.

Times are microseconds since 1970-01-01T00:00:00Z. Digests are SHA-256 in hexadecimal, without the
`sha256:` that they carry on the wire.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    from numpy.typing import NDArray

    from service_chassis.caller import Principal

ParamScalar = str | int | float | bool


class RunState(IntEnum):
    """Where a run stands; the numbers are those of the contract."""

    RUNNING = 1
    FINISHED = 2
    FAILED = 3
    KILLED = 4
    PREEMPTED = 5
    STALE = 6

    @property
    def ended(self) -> bool:
        """Whether the training program is known to have ended; a stale run may be going on."""
        return self not in {RunState.RUNNING, RunState.STALE}


class HoldLevel(IntEnum):
    """How strongly a model version holds on to a run; the numbers are those of the contract."""

    FILES = 1
    RUN = 2


@dataclass(frozen=True, slots=True)
class Experiment:
    """A named series of runs."""

    key: int
    uid: str
    name: str
    description: str
    tags: Mapping[str, str]
    create_us: int
    update_us: int
    revision: int

    @property
    def etag(self) -> str:
        """Changes with every change, and is never the same for two experiments."""
        return f"{self.uid[:12]}-{self.revision}"


class Param(NamedTuple):
    """One parameter; the type of the value is part of it, so 1 and 1.0 and True all differ."""

    key: str
    value: ParamScalar

    @property
    def text(self) -> str:
        """The value as it is written in filters; what is searched as text."""
        if isinstance(self.value, bool):
            return "true" if self.value else "false"
        return repr(self.value) if isinstance(self.value, float) else str(self.value)

    @property
    def size(self) -> int:
        """What key and text take, in bytes."""
        return len(self.key.encode()) + len(self.text.encode())

    def same_value(self, other: ParamScalar) -> bool:
        """Whether the other value is of the same type and equal; NaN equals NaN here."""
        if type(self.value) is not type(other):
            return False
        both_nan = isinstance(other, float) and math.isnan(other)
        if both_nan and isinstance(self.value, float):
            return math.isnan(self.value)
        return self.value == other


# Not frozen: making one would take three times as long, and pages of runs have hundreds.
@dataclass(slots=True)
class MetricSummary:
    """What is known of one metric of one run without reading its points.

    The fields are those of the contract, and `finite_count`: how many values `mean` is over.
    """

    key: str
    first: float
    last: float
    min: float
    max: float
    mean: float
    count: int
    finite_count: int
    last_step: int
    min_step: int
    max_step: int
    last_time_us: int


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """Points of one metric as columns of equal length."""

    steps: NDArray[np.int64]
    times_us: NDArray[np.int64]
    values: NDArray[np.float64]

    def __len__(self) -> int:
        """Number of points."""
        return len(self.steps)


@dataclass(frozen=True, slots=True)
class MetricBatch:
    """Points of several metrics that one writer sends at once."""

    run: str
    writer: str
    sequence: int
    series: Mapping[str, Points]

    @property
    def points(self) -> int:
        """Number of points of all metrics together."""
        return sum(map(len, self.series.values()))

    def follows(self, other: MetricBatch) -> bool:
        """Whether the same writer sent this one after the other."""
        same = (self.run, self.writer) == (other.run, other.writer)
        return same and self.sequence > other.sequence


@dataclass(frozen=True, slots=True)
class SeriesRecord:
    """A series as stored: its key in the database, its summary, its latest chunk's number."""

    key: int
    summary: MetricSummary
    chunks: int


@dataclass(frozen=True, slots=True)
class ChunkRecord:
    """The points of one batch as stored, with the ranges by which reads leave them out."""

    points: int
    min_step: int
    max_step: int
    min_time_us: int
    max_time_us: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Window:
    """Which points to read; bounds are included, None is no bound. Times in microseconds."""

    min_step: int | None = None
    max_step: int | None = None
    min_time_us: int | None = None
    max_time_us: int | None = None

    @property
    def is_whole(self) -> bool:
        """Whether it leaves out nothing."""
        return self == Window()

    def split(self, step: int) -> tuple[Window, Window]:
        """What of it lies up to a step, and beyond."""
        return replace(self, max_step=step), replace(self, min_step=step + 1)


@dataclass(frozen=True, slots=True)
class ChunkPlace:
    """A chunk of a series without its points."""

    number: int
    points: int
    min_step: int
    max_step: int


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """Where a chunk goes: which series, and as which of its chunks."""

    series: int
    number: int
    chunk: ChunkRecord


@dataclass(frozen=True, slots=True)
class CondaEnvironment:
    """A conda environment; the fields are those of the contract."""

    name: str = ""
    packages: Mapping[str, str] = field(default_factory=dict)
    channels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a run ran; the fields are those of the contract."""

    python_version: str = ""
    python_implementation: str = ""
    platform: str = ""
    machine: str = ""
    cpu_count: int = 0
    memory_bytes: int = 0
    packages: Mapping[str, str] = field(default_factory=dict)
    hostname: str = ""
    command_line: tuple[str, ...] = ()
    accelerators: tuple[str, ...] = ()
    container_image_digest: str = ""
    conda: CondaEnvironment | None = None
    cpu_model: str = ""


@dataclass(frozen=True, slots=True)
class Code:
    """Which code ran; the fields are those of the contract."""

    repository: str = ""
    commit: str = ""
    branch: str = ""
    dirty: bool = False
    diff_digest: str = ""
    entry_point: str = ""
    untracked_files: tuple[str, ...] = ()
    untracked_count: int = 0
    diff_artifact: str = ""


@dataclass(frozen=True, slots=True)
class DatasetInput:
    """A dataset version that went into a run, and as what."""

    dataset: str
    role: str
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Run:
    """One execution of a training program, with everything that was logged but the points."""

    key: int
    experiment_key: int
    uid: str
    name: str
    workspace: str
    display_name: str
    description: str
    state: RunState
    state_reason: str
    creator: Principal
    start_us: int | None
    end_us: int | None
    create_us: int
    update_us: int
    delete_us: int | None
    heartbeat_us: int
    revision: int
    environment: Environment | None
    code: Code | None
    exit_code: int | None = None
    signal: str = ""
    params: tuple[Param, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    metrics: tuple[MetricSummary, ...] = ()
    dataset_inputs: tuple[DatasetInput, ...] = ()

    @property
    def etag(self) -> str:
        """Changes with every change to the run itself, not with its metrics."""
        return f"{self.uid[:12]}-{self.revision}"


@dataclass(frozen=True, slots=True)
class RunPlace:
    """Just enough of a run to decide whether it takes more records, and where they go."""

    key: int
    experiment_key: int
    uid: str
    name: str
    workspace: str
    state: RunState
    delete_us: int | None


@dataclass(frozen=True, slots=True)
class NewRun:
    """What a caller says of a run that is to be made."""

    experiment: str
    run_id: str
    display_name: str
    description: str
    tags: Mapping[str, str]
    start_us: int | None
    params: tuple[Param, ...] = ()


@dataclass(frozen=True, slots=True)
class RunRecords:
    """What one LogBatch adds to a run. None means: leave as it is."""

    params: tuple[Param, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    dataset_inputs: tuple[DatasetInput, ...] = ()
    environment: Environment | None = None
    code: Code | None = None


@dataclass(frozen=True, slots=True)
class NewArtifact:
    """A file that is to be recorded."""

    path: str
    digest: str
    media_type: str


@dataclass(frozen=True, slots=True)
class Artifact:
    """One file of a run."""

    run: str
    path: str
    digest: str
    size_bytes: int
    media_type: str
    create_us: int


@dataclass(frozen=True, slots=True)
class Hold:
    """A model version that rests on a run."""

    holder: str
    level: HoldLevel
