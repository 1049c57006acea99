"""What a record file says about a run, besides metrics. Plain data, stored as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field

ParamValue = str | int | float | bool


@dataclass(frozen=True)
class RunStart:
    """First record of every file: which run this is, and where it belongs.

    Attributes:
        workspace: Resource name of the workspace.
        experiment: Id of the experiment.
        run_id: Id of the run.
        writer: Id of this file's writer.
        start_time_us: When the program started the run.
        display_name: Name for people.
        description: What was tried and why.
        tags: Tags that the run begins with.
        address: Server as configured; empty when it was not.
        resumes: The run may exist already and goes on.
        attached: A process that was forked off and neither begins nor ends the run.
        request_id: Makes repeating the creation safe.
        segment: Place of this file among those of the same writer, from 0.
        base: Bytes of the writer's files before this one.
    """

    workspace: str
    experiment: str
    run_id: str
    writer: str
    start_time_us: int
    display_name: str = ""
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    address: str = ""
    resumes: bool = False
    attached: bool = False
    request_id: str = ""
    segment: int = 0
    base: int = 0

    @property
    def experiment_name(self) -> str:
        """Resource name of the experiment."""
        return f"{self.workspace}/experiments/{self.experiment}"

    @property
    def run(self) -> str:
        """Resource name of the run."""
        return f"{self.experiment_name}/runs/{self.run_id}"


@dataclass(frozen=True)
class Params:
    """Parameters, flattened."""

    values: dict[str, ParamValue]


@dataclass(frozen=True)
class Tags:
    """Tags to set."""

    values: dict[str, str]


@dataclass(frozen=True)
class CondaEnvironment:
    """A conda environment; the fields are those of the contract's `CondaEnvironment`."""

    name: str = ""
    packages: dict[str, str] = field(default_factory=dict)
    channels: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Environment:
    """Where a run ran; the fields are those of the contract's `Environment`."""

    python_version: str = ""
    python_implementation: str = ""
    platform: str = ""
    machine: str = ""
    cpu_count: int = 0
    memory_bytes: int = 0
    packages: dict[str, str] = field(default_factory=dict)
    hostname: str = ""
    command_line: list[str] = field(default_factory=list)
    accelerators: list[str] = field(default_factory=list)
    container_image_digest: str = ""
    conda: CondaEnvironment | None = None
    cpu_model: str = ""

    def __post_init__(self) -> None:
        # From JSON it comes as a plain dictionary.
        if isinstance(self.conda, dict):
            object.__setattr__(self, "conda", CondaEnvironment(**self.conda))


@dataclass(frozen=True)
class Code:
    """Which code ran; the fields are those of the contract's `Code`."""

    repository: str = ""
    commit: str = ""
    branch: str = ""
    dirty: bool = False
    diff_digest: str = ""
    entry_point: str = ""
    untracked_files: list[str] = field(default_factory=list)
    untracked_count: int = 0
    diff_artifact: str = ""


@dataclass(frozen=True)
class Column:
    """One column of a table: name, type in the words of Apache Arrow, missing values.

    `profile` is a `ColumnProfile` of the contract, serialised, in Base64; empty when there is none.
    """

    name: str
    type: str
    null_count: int = 0
    profile: str = ""


@dataclass(frozen=True)
class DatasetReference:
    """One state of data that another system keeps; the fields are those of the contract."""

    system: str
    uri: str
    version: str


@dataclass(frozen=True)
class DatasetUse:
    """A dataset, by its content, and what the run used it for."""

    name: str
    role: str
    digest: str
    format: str
    version: str = ""
    source: str = ""
    columns: list[Column] = field(default_factory=list)
    row_count: int = -1
    size_bytes: int = 0
    reference: DatasetReference | None = None

    def __post_init__(self) -> None:
        # From JSON the parts come as plain dictionaries.
        columns = [c if isinstance(c, Column) else Column(**c) for c in self.columns]
        object.__setattr__(self, "columns", columns)
        if isinstance(self.reference, dict):
            object.__setattr__(self, "reference", DatasetReference(**self.reference))


@dataclass(frozen=True)
class LoggedFile:
    """A file to be uploaded.

    Attributes:
        path: Artifact path.
        digest: Digest of its bytes when it was logged.
        size: Its size then.
        local_path: Where the bytes are.
        modified_ns: Modification time then.
        inode: Inode then.
        staged: The bytes lie in the run's record folder and are removed once they are sent.
        media_type: Media type; empty: by the path's ending.
    """

    path: str
    digest: str
    size: int
    local_path: str
    modified_ns: int
    inode: int
    staged: bool = True
    media_type: str = ""


@dataclass(frozen=True)
class Artifacts:
    """Files that belong to the run."""

    files: list[LoggedFile]

    def __post_init__(self) -> None:
        files = [f if isinstance(f, LoggedFile) else LoggedFile(**f) for f in self.files]
        object.__setattr__(self, "files", files)


@dataclass(frozen=True)
class VersionWanted:
    """A model version to be registered from the run's files."""

    model: str
    version: str
    paths: list[str]
    request_id: str
    description: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    parents: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class RunEnd:
    """How the run ended.

    Attributes:
        state: A `RunState` without its prefix.
        reason: Why it ended.
        end_time_us: When.
        exit_code: Exit code of the program, where it is known.
        signal: Signal that ended it, e.g. `SIGTERM`; empty without one.
    """

    state: str
    reason: str
    end_time_us: int
    exit_code: int | None = None
    signal: str = ""


RunRecord = (
    RunStart | Params | Tags | Environment | Code | DatasetUse | Artifacts | VersionWanted | RunEnd
)

# Kinds 1 and 2 are those of metrics. A number is never given another meaning.
_KINDS: dict[int, type[RunRecord]] = {
    16: RunStart,
    17: Params,
    18: Tags,
    19: Environment,
    20: Code,
    21: DatasetUse,
    22: Artifacts,
    23: VersionWanted,
    24: RunEnd,
}
_NUMBERS = {record: number for number, record in _KINDS.items()}


def encode(record: RunRecord) -> tuple[int, bytes]:
    """The kind and body under which a record is stored."""
    return _NUMBERS[type(record)], json.dumps(asdict(record)).encode()


def decode(kind: int, body: bytes) -> RunRecord | None:
    """The record of a kind and body; None for a kind that this version does not know."""
    record = _KINDS.get(kind)
    return record(**json.loads(body)) if record else None
