"""What the registry keeps, as plain values.

Times are microseconds since 1970-01-01T00:00:00Z. Digests are SHA-256 in hexadecimal, without the
`sha256:` that they carry on the wire. Enum numbers are those of the contract.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from service_chassis.caller import Principal


class Stage(IntEnum):
    """Where a version stands."""

    NONE = 1
    STAGING = 2
    PRODUCTION = 3
    ARCHIVED = 4


class VersionState(IntEnum):
    """Whether a version's files were verified."""

    PENDING = 1
    READY = 2
    FAILED = 3


class Cause(IntEnum):
    """What brought a transition about; REGISTERED marks the stay in stage None from the start."""

    REGISTERED = 0
    REQUESTED = 1
    DISPLACED = 2
    ROLLBACK = 3


@dataclass(frozen=True, slots=True)
class Model:
    """A registered model.

    Attributes:
        production_version: Name of the version in Production, or empty.
        highest_version: Name of the version of the highest precedence, or empty.
        protected_aliases: Aliases that move with another permission, in alphabetical order.
    """

    uid: str
    workspace: str
    name: str
    description: str
    tags: Mapping[str, str]
    production_version: str
    highest_version: str
    creator: Principal
    create_us: int
    update_us: int
    change_position: int
    protected_aliases: tuple[str, ...] = ()

    @property
    def etag(self) -> str:
        """Changes with every change, and is never the same for two models."""
        return f"{self.uid[:12]}-{self.change_position}"


@dataclass(frozen=True, slots=True)
class File:
    """One file of a version."""

    path: str
    digest: str
    size_bytes: int
    media_type: str


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a model.

    Attributes:
        stage_position: Ledger position of the entry that put it where it stands.
        was_in_production: Whether it is or ever was in Production.
        create_position: Ledger position of its registration.
        change_position: Ledger position of its last change.
        aliases: The aliases that name it now, in alphabetical order.
    """

    uid: str
    model_uid: str
    model: str
    name: str
    number: str
    state: VersionState
    state_reason: str
    stage: Stage
    stage_us: int
    stage_position: int
    was_in_production: bool
    source_run: str
    files: tuple[File, ...]
    digest: str
    description: str
    tags: Mapping[str, str]
    creator: Principal
    create_position: int
    create_us: int
    update_us: int
    change_position: int
    aliases: tuple[str, ...] = ()

    @property
    def etag(self) -> str:
        """Changes with every change, and is never the same for two versions."""
        return f"{self.uid[:12]}-{self.change_position}"

    @property
    def size_bytes(self) -> int:
        """Size of all files together."""
        return sum(file.size_bytes for file in self.files)


@dataclass(frozen=True, slots=True)
class Stay:
    """How long a version stood in a stage: from `start_us` up to but not including `end_us`.

    A stay begins with the ledger entry at `position`. The first one of a version has no
    `from_stage` and the cause REGISTERED; every other one is a transition. `broke_glass` marks one
    that passed the policies by.
    """

    position: int
    model: str
    version_uid: str
    version: str
    from_stage: Stage | None
    to_stage: Stage
    cause: Cause
    caused_by: int
    reason: str
    actor: Principal
    start_us: int
    end_us: int | None
    broke_glass: bool = False


@dataclass(frozen=True, slots=True)
class DatasetUse:
    """A dataset that the training of a version used. `dataset` is the name of its version."""

    dataset: str
    role: str
    digest: str


@dataclass(frozen=True, slots=True)
class Parent:
    """What the training of a version began from.

    Attributes:
        version: Name of the version; empty for a base from elsewhere.
        version_uid: Its uid.
        uri: Where a base from elsewhere is found; empty for a version.
        digest: Digest of the version, or of the base.
    """

    version: str
    version_uid: str
    uri: str
    digest: str


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is written down about a run when a version is registered from it.

    Attributes:
        lineage: The lineage, serialised; the domain does not look inside.
        lineage_digest: SHA-256 over those bytes.
        files: All files of the run.
        datasets: The datasets in the lineage.
        parents: The parents in the lineage.
    """

    lineage: bytes
    lineage_digest: str
    files: tuple[File, ...]
    datasets: tuple[DatasetUse, ...] = ()
    parents: tuple[Parent, ...] = ()
