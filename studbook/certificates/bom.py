"""A certificate as a CycloneDX ML-BOM: the model, its files, data, packages and ancestors.

Made with the CycloneDX library, which has no model cards yet; the model card is put into the JSON
that it writes. Needs the extra `studbook[certificates]`.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

from cyclonedx.model import (
    ExternalReference,
    ExternalReferenceType,
    HashAlgorithm,
    HashType,
    Property,
    XsUri,
)
from cyclonedx.model.bom import Bom
from cyclonedx.model.component import Commit, Component, ComponentType, Pedigree
from cyclonedx.model.contact import OrganizationalContact
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from studbook._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from studbook.certificates.envelope import Envelope
    from studbook.certificates.statement import Statement

_MODEL = "model"
_SHA256 = re.compile(r"sha256:([0-9a-f]{64})")
_SCP_FORM = re.compile(r"^([\w.-]+@[\w.-]+):")


def render_bom(statement: Statement, envelope: Envelope) -> str:
    """The bill of materials of a version, CycloneDX 1.6 in JSON.

    The same certificate gives the same text.

    Args:
        statement: What the certificate says.
        envelope: The certificate, whose digest the serial number is made of.
    """
    predicate = statement.predicate
    model = _model(statement)
    used = [*_datasets(predicate), *_packages(predicate)]
    bom = Bom(
        components=used,
        serial_number=uuid.uuid5(uuid.NAMESPACE_URL, hashlib.sha256(envelope.payload).hexdigest()),
    )
    bom.metadata.timestamp = datetime.fromisoformat(predicate["ledger"]["time"])
    bom.metadata.component = model
    bom.metadata.tools.components.add(
        Component(name="studbook", version=__version__, type=ComponentType.APPLICATION)
    )
    bom.register_dependency(model, used)
    value = json.loads(JsonV1Dot6(bom).output_as_string())
    value["metadata"]["component"]["modelCard"] = _model_card(predicate)
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


def _model(statement: Statement) -> Component:
    version, run = statement.version, statement.predicate["run"]
    stages = statement.predicate["stages"]
    by = version["registeredBy"]
    return Component(
        name=version["name"].split("/")[3],
        version=version["number"],
        type=ComponentType.MACHINE_LEARNING_MODEL,
        bom_ref=_MODEL,
        description=version["description"] or None,
        authors=[OrganizationalContact(name=by["displayName"] or by["id"])],
        components=list(_files(version)),
        pedigree=_pedigree(statement.predicate),
        external_references=list(_references(statement.predicate)),
        properties=[
            Property(name="studbook:version", value=version["name"]),
            Property(name="studbook:digest", value=version["digest"]),
            Property(name="studbook:run", value=run["name"]),
            Property(name="studbook:stage", value=stages[-1]["stage"]),
            *(
                Property(name=f"studbook:parameter:{one['key']}", value=one["value"])
                for one in run["parameters"]
            ),
        ],
    )


def _files(version: Mapping[str, Any]) -> Iterator[Component]:
    for file in version["files"]:
        yield Component(
            name=file["path"],
            type=ComponentType.FILE,
            bom_ref=f"file:{file['path']}",
            hashes=_hashes(file["digest"]),
        )


def _datasets(predicate: Mapping[str, Any]) -> Iterator[Component]:
    for place, dataset in enumerate(predicate["datasets"]):
        parts = dataset["name"].split("/")
        yield Component(
            name=parts[3] if len(parts) == 6 else dataset["name"],
            version=parts[5] if len(parts) == 6 else None,
            type=ComponentType.DATA,
            bom_ref=_dataset_ref(place),
            hashes=_hashes(dataset["digest"]),
            properties=[
                Property(name="studbook:role", value=dataset["role"]),
                Property(name="studbook:dataset", value=dataset["name"]),
                Property(name="studbook:format", value=dataset["format"]),
            ],
        )


def _dataset_ref(place: int) -> str:
    return f"dataset:{place}"


def _packages(predicate: Mapping[str, Any]) -> Iterator[Component]:
    packages = (predicate["environment"] or {}).get("packages", {})
    for name, version in sorted(packages.items()):
        yield Component(
            name=name,
            version=version,
            type=ComponentType.LIBRARY,
            bom_ref=f"package:{name}",
            purl=PackageURL("pypi", name=name, version=version),
        )


def _pedigree(predicate: Mapping[str, Any]) -> Pedigree | None:
    ancestors = []
    for place, parent in enumerate(predicate["parents"]):
        name, version = parent["uri"], None
        if parent["version"]:
            parts = parent["version"].split("/")
            name, version = parts[3], parts[5]
        ancestors.append(
            Component(
                name=name,
                version=version,
                type=ComponentType.MACHINE_LEARNING_MODEL,
                bom_ref=f"parent:{place}",
                hashes=_hashes(parent["digest"]),
            )
        )
    code = predicate["code"] or {}
    commits = [Commit(uid=code["commit"])] if code.get("commit") else []
    return Pedigree(ancestors=ancestors, commits=commits) if ancestors or commits else None


def _references(predicate: Mapping[str, Any]) -> Iterator[ExternalReference]:
    code = predicate["code"] or {}
    if code.get("repository"):
        # What Git takes for a URL need not be one: `git@host:path` says the same as `ssh://`.
        url = _SCP_FORM.sub(r"ssh://\1/", code["repository"])
        yield ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(url))


def _hashes(digest: str) -> list[HashType]:
    found = _SHA256.fullmatch(digest)
    return [HashType(alg=HashAlgorithm.SHA_256, content=found[1])] if found else []


def _model_card(predicate: Mapping[str, Any]) -> dict[str, Any]:
    datasets = [{"ref": _dataset_ref(place)} for place, _ in enumerate(predicate["datasets"])]
    metrics = [{"type": one["key"], "value": one["last"]} for one in predicate["run"]["metrics"]]
    return {
        "modelParameters": {"datasets": datasets},
        "quantitativeAnalysis": {"performanceMetrics": metrics},
    }
