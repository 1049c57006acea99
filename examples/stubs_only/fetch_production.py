"""Fetch what is in Production and predict, with nothing but grpc and the generated stubs.

    STUDBOOK_TOKEN=... python examples/stubs_only/fetch_production.py wine-cultivar FOLDER

The permission `models.serve` is enough for that.
"""

from __future__ import annotations

import hashlib
import os
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import grpc
import joblib
from sklearn.datasets import load_wine

from studbook.registry.v1 import serving_service_pb2, serving_service_pb2_grpc

if TYPE_CHECKING:
    from studbook.registry.v1.version_pb2 import ModelFile, Version

ADDRESS = os.environ.get("STUDBOOK_ADDRESS", "127.0.0.1:7420")
WORKSPACE = f"workspaces/{os.environ.get('STUDBOOK_WORKSPACE', 'main')}"
DEADLINE = 30

Metadata = tuple[tuple[str, str], ...]


def main(arguments: list[str]) -> None:
    """Resolve, fetch, verify, load, predict."""
    if len(arguments) != 2:
        sys.exit(__doc__)
    model, folder = arguments[0], Path(arguments[1])
    metadata: Metadata = (("authorization", f"Bearer {os.environ['STUDBOOK_TOKEN']}"),)
    # Beyond this machine: grpc.secure_channel(ADDRESS, grpc.ssl_channel_credentials()).
    with grpc.insecure_channel(ADDRESS) as channel:
        serving = serving_service_pb2_grpc.ServingServiceStub(channel)
        version = serving.ResolveVersion(
            # No selector means Production, never the latest.
            serving_service_pb2.ResolveVersionRequest(model=f"{WORKSPACE}/models/{model}"),
            metadata=metadata,
            timeout=DEADLINE,
        ).version
        fetch(serving, metadata, version, folder)
    estimator = joblib.load(folder / "model.joblib")
    wine = load_wine()
    cultivar = wine.target_names[estimator.predict(wine.data[:1])[0]]
    sys.stdout.write(f"{version.name} says that the first bottle is of {cultivar}\n")


def fetch(
    serving: serving_service_pb2_grpc.ServingServiceStub,
    metadata: Metadata,
    version: Version,
    folder: Path,
) -> None:
    """Write the version's files into the folder, each only when its digest is right."""
    request = serving_service_pb2.FetchArtifactsRequest(version=version.name)
    content = bytearray()
    current: ModelFile | None = None
    # The answer to ResolveVersion says what is to come; the stream has to agree with it.
    expected = {file.path: file.digest for file in version.files}
    for message in serving.FetchArtifacts(request, metadata=metadata, timeout=DEADLINE):
        if message.HasField("file"):
            keep(folder, current, content, expected)
            current, content = message.file, bytearray()
        # A model of many gigabytes would go to a temporary file instead of memory.
        content += message.data
    keep(folder, current, content, expected)
    if expected:
        sys.exit(f"Not delivered: {', '.join(expected)}")


def keep(
    folder: Path, file: ModelFile | None, content: bytearray, expected: dict[str, str]
) -> None:
    """Check and write one file, and take it off the list of those expected."""
    if file is None:
        return
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    if digest != expected.pop(file.path, None):
        sys.exit(f"{file.path} has the digest {digest}, which is not the version's")
    path = PurePosixPath(file.path)
    if path.is_absolute() or ".." in path.parts:
        sys.exit(f"{file.path} leads out of the folder")
    target = folder / path
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)
    sys.stdout.write(f"{file.path} {len(content)} bytes {digest}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
