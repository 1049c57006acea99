"""What the rules of a policy can read of a version.

Values that are not numbers are left out, as if they had not been logged: a gate that needs one is
inconclusive, and no comparison is true or false by the peculiar ways of NaN.
"""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from studbook.registry.v1 import lineage_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from registry_service.records import Version

_SUMMARIES = ("last", "min", "max", "mean", "count", "last_step")
_CODE = ("repository", "commit", "branch", "entry_point")
_ENVIRONMENT = ("python_version", "platform", "machine", "container_image_digest")


# What there is of no version: `has(production.version)` and the like are false, and no error.
NO_VERSION: Mapping[str, Any] = MappingProxyType(
    {
        name: {}
        for name in ("metrics", "params", "tags", "datasets", "code", "environment", "files", "run")
    }
)


@dataclass(frozen=True, slots=True)
class Facts:
    """A version as rules see it.

    Attributes:
        values: What expressions read; see `GateSubject` in the contract.
        author: Id of the principal who made the run.
        digested_roles: Roles in which there are datasets, each of them with its digest.
        lineage_digest: SHA-256 of the lineage as it was written down, in hex.
    """

    version: Version
    values: Mapping[str, Any] = field(repr=False)
    author: str
    digested_roles: frozenset[str]
    lineage_digest: str


def facts_of(version: Version, lineage: bytes) -> Facts:
    """What rules can read of a version.

    Args:
        version: The version.
        lineage: Its lineage as it was written down.
    """
    known = lineage_pb2.Lineage.FromString(lineage)
    values: dict[str, Any] = {
        **NO_VERSION,
        "version": version.number,
        "digest": f"sha256:{version.digest}",
        "metrics": {metric.key: _metric(metric) for metric in known.run.metrics},
        "params": {
            param.key: value for param in known.run.params if (value := _param(param)) is not None
        },
        "tags": dict(version.tags),
        "datasets": _datasets(known.datasets),
        "files": {
            file.path: {"digest": f"sha256:{file.digest}", "size_bytes": file.size_bytes}
            for file in version.files
        },
        "run": {
            "name": known.run.name,
            "state": known.run.state,
            "tags": dict(known.run.tags),
        },
    }
    if known.HasField("code"):
        values["code"] = {**_texts(known.code, _CODE), "dirty": known.code.dirty}
    if known.HasField("environment"):
        values["environment"] = {
            **_texts(known.environment, _ENVIRONMENT),
            "packages": dict(known.environment.packages),
        }
    undigested = {dataset.role for dataset in known.datasets if not dataset.digest}
    digested = frozenset(values["datasets"]) - undigested
    digest = hashlib.sha256(lineage).hexdigest()
    return Facts(version, values, known.run.creator.id, digested, digest)


def _metric(metric: lineage_pb2.LineageMetric) -> dict[str, float]:
    values = {name: getattr(metric, name) for name in _SUMMARIES}
    return {name: value for name, value in values.items() if not math.isnan(value)}


def _param(param: lineage_pb2.LineageParam) -> Any:
    kind = param.WhichOneof("value")
    value = "" if kind is None else getattr(param, kind)
    return None if isinstance(value, float) and math.isnan(value) else value


def _datasets(datasets: Iterable[lineage_pb2.LineageDataset]) -> dict[str, dict[str, Any]]:
    """By role; of several in one role, that in which they are the same.

    If one of them stood for all, another could be added to hide what was really used.
    """
    found: dict[str, dict[str, Any]] = {}
    for dataset in datasets:
        values = _dataset(dataset)
        others = found.get(dataset.role, values)
        found[dataset.role] = dict(values.items() & others.items())
    return found


def _dataset(dataset: lineage_pb2.LineageDataset) -> dict[str, Any]:
    name, _, version = dataset.name.rpartition("/versions/")
    values: dict[str, Any] = {
        "name": name.rpartition("/")[2],
        "version": version,
        **_texts(dataset, ("digest", "format")),
        "size_bytes": dataset.size_bytes,
    }
    if dataset.row_count >= 0:
        values["row_count"] = dataset.row_count
    return values


def _texts(message: Any, names: tuple[str, ...]) -> dict[str, str]:
    """The fields that are set; what is empty was not recorded."""
    return {name: text for name in names if (text := getattr(message, name))}
