"""From what the registry keeps of a version to what is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from registry_service.comparison import UsedCode, UsedDataset, VersionFacts
from studbook.registry.v1 import lineage_pb2

if TYPE_CHECKING:
    from registry_service.comparison import Scalar
    from registry_service.records import Version

# What the SDK records of the machine a run is on.
_OF_MACHINE = "system/"


def facts_of(version: Version, lineage: bytes) -> VersionFacts:
    """What is compared of a version.

    Args:
        version: The version.
        lineage: Its lineage as it was written down.
    """
    known = lineage_pb2.Lineage.FromString(lineage)
    environment = known.environment if known.HasField("environment") else None
    return VersionFacts(
        name=version.name,
        datasets=tuple(map(used_dataset, known.datasets)),
        code=_code(known.code) if known.HasField("code") else None,
        params={param.key: _value(param) for param in known.run.params},
        environment=None if environment is None else _environment(environment),
        packages={} if environment is None else dict(environment.packages),
        # How busy the machine was is no result.
        metrics={
            metric.key: metric.last
            for metric in known.run.metrics
            if not metric.key.startswith(_OF_MACHINE)
        },
        files={file.path: f"sha256:{file.digest}" for file in version.files},
    )


def used_dataset(dataset: lineage_pb2.LineageDataset) -> UsedDataset:
    """A dataset that went into a version."""
    return UsedDataset(dataset.role, dataset.name, dataset.digest, dataset.row_count)


def _code(code: lineage_pb2.LineageCode) -> UsedCode:
    return UsedCode(
        repository=code.repository,
        commit=code.commit,
        branch=code.branch,
        dirty=code.dirty,
        diff_digest=code.diff_digest,
        entry_point=code.entry_point,
    )


def _value(param: lineage_pb2.LineageParam) -> Scalar:
    kind = param.WhichOneof("value")
    if kind is None:
        return ""
    value: Scalar = getattr(param, kind)
    return value


def _environment(environment: lineage_pb2.LineageEnvironment) -> dict[str, str]:
    return {
        "python_version": environment.python_version,
        "platform": environment.platform,
        "machine": environment.machine,
        "accelerators": ", ".join(environment.accelerators),
        "container_image_digest": environment.container_image_digest,
    }
