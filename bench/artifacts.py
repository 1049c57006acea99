"""`python -m bench.artifacts`: files through the gateway, in bytes a second and in memory.

One large file and a folder of small ones are stored and fetched with the SDK, verified and
durable, against what the same machine writes, hashes and streams at best in the same run; and
against the peer, which neither verifies nor syncs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.__main__ import MIB, write_and_sync
from bench.bare_grpc import stream_limits
from bench.peer import Peer, PeerUnavailableError
from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook import artifact_transfer, login
from studbook.client import Client
from studbook.credentials import FixedToken
from studbook.file_digests import hash_file
from studbook.tracking.v1 import experiment_service_pb2, run_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

SMALL_FILES = 1000
SMALL_BYTES = 10_000
# Its rates do not depend on the size, and it takes its time.
PEER_MIB = 512
PEER_SMALL_FILES = 100
_LIMIT_MIB = 1024

# Sees to it, as our own client does, that the download is complete; more it does not offer.
_PEER_PROGRAM = """
import json, pathlib, sys, time
import mlflow

folder, small_files = pathlib.Path(sys.argv[1]), int(sys.argv[2])
client, found = mlflow.MlflowClient(), {}
run = client.create_run(client.create_experiment("bench")).info.run_id

def timed(name, work):
    start = time.perf_counter()
    work()
    found[name] = time.perf_counter() - start

size = (folder / "large.bin").stat().st_size
timed("up", lambda: client.log_artifact(run, str(folder / "large.bin")))
(folder / "back").mkdir()
timed("down", lambda: client.download_artifacts(run, "large.bin", str(folder / "back")))
assert (folder / "back" / "large.bin").stat().st_size == size
timed("small up", lambda: client.log_artifacts(run, str(folder / "small"), "small"))
timed("small down", lambda: client.download_artifacts(run, "small", str(folder / "back")))
assert sum(file.is_file() for file in (folder / "back" / "small").rglob("*")) == small_files
print(json.dumps(found))
"""


def timed(work: Callable[[], object]) -> float:
    """Seconds that work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def megabytes_a_second(size: int, seconds: float) -> int:
    """A rate to print."""
    return round(size / 1e6 / seconds)


def peak_mb(pid: int | str) -> int:
    """The most memory that a process ever had resident, in MB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return round(int(line.split()[1]) * 1024 / 1e6)
    message = f"process {pid} has no memory figures"
    raise RuntimeError(message)


def hashing(mib: int) -> int:
    """SHA-256 of one core in MB/s."""
    block, found = bytes(MIB), hashlib.sha256()

    def work() -> None:
        for _ in range(mib):
            found.update(block)

    return megabytes_a_second(mib * MIB, timed(work))


def make_large_file(path: Path, mib: int) -> None:
    """A file no two MiB of which are alike."""
    block = bytearray(os.urandom(MIB))
    with path.open("wb") as file:
        for number in range(mib):
            block[:8] = number.to_bytes(8, "little")
            file.write(block)


def make_small_files(folder: Path, count: int = SMALL_FILES) -> None:
    """A folder of small files, in folders of a hundred."""
    for number in range(count):
        file = folder / f"{number // 100}" / f"{number}.bin"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(SMALL_BYTES))


def new_run(client: Client, run_id: str) -> str:
    """A run to store files in."""
    experiment = f"{client.workspace}/experiments/bench"
    request = run_service_pb2.CreateRunRequest(parent=experiment, run_id=run_id)
    return client.runs.CreateRun(request).run.name


def measure_large(client: Client, folder: Path, mib: int) -> dict[str, object]:
    """One large file, there and back."""
    source, size = folder / "large.bin", mib * MIB
    make_large_file(source, mib)
    run = new_run(client, "large")
    hashed = hash_file(source)
    outgoing = [artifact_transfer.OutgoingFile("large.bin", hashed)]
    sending = timed(lambda: artifact_transfer.send(client, run, outgoing))
    hashing_first = timed(lambda: hash_file(source))
    source.unlink()
    fetching = timed(lambda: artifact_transfer.download(client, run, folder / "fetched"))
    shutil.rmtree(folder / "fetched")
    return {
        "upload, verified and durable, MB/s": megabytes_a_second(size, sending),
        "upload, with the hashing before it, MB/s": megabytes_a_second(
            size, sending + hashing_first
        ),
        "download, verified and durable, MB/s": megabytes_a_second(size, fetching),
    }


def measure_small(client: Client, folder: Path) -> dict[str, object]:
    """Many small files, there and back."""
    make_small_files(folder / "small")
    run = new_run(client, "small")
    sending = timed(lambda: artifact_transfer.upload(client, run, folder / "small"))
    again = timed(lambda: artifact_transfer.upload(client, run, folder / "small"))
    fetching = timed(lambda: artifact_transfer.download(client, run, folder / "back"))
    return {
        "upload of small files, files/s": round(SMALL_FILES / sending),
        "upload of what is there already, files/s": round(SMALL_FILES / again),
        "download of small files, files/s": round(SMALL_FILES / fetching),
    }


def limits(folder: Path, mib: int, *, hop: bool) -> dict[str, object]:
    """What the disk, a core and gRPC do at best."""
    taken, given = stream_limits(mib, hop=hop)
    return {
        "limit: write and fsync, MB/s": write_and_sync(folder, mib * MIB),
        "limit: SHA-256 on one core, MB/s": hashing(mib),
        "limit: gRPC stream of raw bytes to the server, MB/s": taken,
        "limit: gRPC stream of raw bytes from the server, MB/s": given,
    }


def measure_peer(folder: Path, mib: int) -> dict[str, object]:
    """The same with the peer; a note when it cannot be had."""
    source = folder / "files"
    source.mkdir(parents=True)
    make_large_file(source / "large.bin", mib)
    make_small_files(source / "small", PEER_SMALL_FILES)
    try:
        with Peer(folder / "server") as peer:
            taken = peer.run(_PEER_PROGRAM, [source, PEER_SMALL_FILES])
            memory = sum(peak_mb(pid) for pid in peer.pids())
    except PeerUnavailableError as error:
        return {"not measured": str(error)}
    return {
        "MiB": mib,
        "upload, MB/s": megabytes_a_second(mib * MIB, taken["up"]),
        "download, MB/s": megabytes_a_second(mib * MIB, taken["down"]),
        "upload of small files, files/s": round(PEER_SMALL_FILES / taken["small up"]),
        "download of small files, files/s": round(PEER_SMALL_FILES / taken["small down"]),
        "peak memory of its server's processes, MB": memory,
        "start to first answer, s": peer.start_s,
    }


def measure(stack: LocalStack, folder: Path, mib: int) -> dict[str, object]:
    """All figures."""
    gateway = stack.addresses.gateway
    token = FixedToken(login.as_demo_person(gateway, "ada").access_token)
    with Client(gateway, workspace="main", token_source=token) as client:
        client.experiments.CreateExperiment(
            experiment_service_pb2.CreateExperimentRequest(
                parent=client.workspace, experiment_id="bench"
            )
        )
        figures = {
            "MiB": mib,
            **limits(folder, min(mib, _LIMIT_MIB), hop=len(stack.pids()) > 1),
            **measure_large(client, folder, mib),
            **measure_small(client, folder),
        }
    pids = {"client": os.getpid(), **stack.pids()}
    figures["peak memory, MB"] = {name: peak_mb(pid) for name, pid in pids.items()}
    return figures


def fitting_mib(wanted: int, folder: Path) -> int:
    """As many MiB as wanted, or as many as the disk has room for thrice."""
    return max(16, min(wanted, shutil.disk_usage(folder).free // MIB // 4))


def main() -> None:
    """Start a stack, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=4096, help="size of the large file")
    parser.add_argument(
        "--separate", action="store_true", help="each service in a process of its own"
    )
    parser.add_argument("--no-peer", action="store_true", help="leave the peer out")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ports = Ports.from_base(0)
        mib = fitting_mib(options.mib, folder)
        with LocalStack(folder / "stack", ports, separate=options.separate) as stack:
            figures = measure(stack, folder, mib)
        if not options.no_peer:
            figures["peer"] = measure_peer(folder / "peer", min(mib, PEER_MIB))
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
