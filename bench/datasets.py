"""`python -m bench.datasets`: what it costs to record a dataset by every byte of it.

No server takes part: all of it is done by the training program. Beside each figure stands SHA-256
over as many bytes on one core in the same run, which no digest over every byte can beat by more
than there are cores; and what the peer does with the same frame.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet

from bench.peer import Peer, PeerUnavailableError
from studbook.datasets import describe_dataset

if TYPE_CHECKING:
    from collections.abc import Callable

MB = 10**6
ROWS = 2_000_000
ROUNDS = 3
FILES = 64
_RANDOM = np.random.default_rng(1)

# Reads a file as a dataset of Arrow, and looks all the time at how much memory that takes.
_GROWTH = """
import json, os, sys, threading, time
import pyarrow as pa, pyarrow.dataset
from studbook.datasets import describe_dataset

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def watch():
    global most
    while not done.wait(0.002):
        most = max(most, resident())

path, profile = sys.argv[1], sys.argv[2] == "True"
describe_dataset(pa.table({"n": [1], "t": ["a"]}), name="warm", profile=profile)
data = pyarrow.dataset.dataset(path)
before = most = resident()
done = threading.Event()
threading.Thread(target=watch, daemon=True).start()
start = time.perf_counter()
seen = describe_dataset(data, name="data", profile=profile)
taken = time.perf_counter() - start
print(json.dumps({
    "MB/s": round(seen.size_bytes / 1e6 / taken),
    "rows/s": round(seen.row_count / taken),
    "memory grown, MB": round((most - before) / 1e6),
}))
"""

_PEER = """
import json, sys, time
import numpy as np, pandas as pd
import mlflow.data

rows = int(sys.argv[1])
frame = pd.DataFrame(np.random.default_rng(1).normal(size=(rows, 10))).add_prefix("c")
mlflow.data.from_pandas(frame[:100], name="warm").digest
start = time.perf_counter()
digest = mlflow.data.from_pandas(frame, name="numbers").digest
taken = time.perf_counter() - start
frame.iloc[-1, -1] += 1
changed = mlflow.data.from_pandas(frame, name="numbers").digest != digest
print(json.dumps({"ms": round(taken * 1000, 1), "sees a change in the last row": changed}))
"""


def best(call: Callable[[], object]) -> float:
    """Seconds of the fastest of some rounds."""
    taken = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        call()
        taken.append(time.perf_counter() - start)
    return min(taken)


def one_core(size: int) -> int:
    """MB/s of SHA-256 over so many bytes in memory."""
    data = _RANDOM.bytes(size)
    return round(size / MB / best(lambda: hashlib.sha256(data)))


def tables() -> dict[str, Any]:
    """Tables of numbers, of texts, and of everything, as programs have them."""
    words = np.array(["red", "white", "rosé", "sparkling", "sweet", "dry", "old", "young"])
    letters = _RANDOM.integers(97, 123, ROWS // 4 * 100, dtype=np.uint8).tobytes()
    offsets = pa.py_buffer(np.arange(0, len(letters) + 1, 100, dtype="<i4").tobytes())
    free = pa.StringArray.from_buffers(ROWS // 4, offsets, pa.py_buffer(letters))
    numbers = _RANDOM.normal(size=(ROWS, 10))
    frame = pd.DataFrame(
        {
            "id": np.arange(ROWS),
            "value": np.where(_RANDOM.random(ROWS) < 0.1, np.nan, _RANDOM.normal(size=ROWS)),
            "at": pd.date_range("2026-01-01", periods=ROWS, freq="s"),
            "kind": pd.Categorical(_RANDOM.choice(words, ROWS)),
            "text": _RANDOM.choice(words, ROWS),
            "maybe": pd.array(_RANDOM.integers(0, 9, ROWS), dtype="Int16"),
        }
    )
    return {
        "numbers, Arrow": pa.table({f"c{n}": numbers[:, n].copy() for n in range(10)}),
        "numbers, NumPy": numbers,
        "few texts, Arrow": pa.table({"t": pa.array(_RANDOM.choice(words, ROWS))}),
        "free texts of 100 characters, Arrow": pa.table({"t": free}),
        "everything, pandas": frame,
    }


def rates(data: Any) -> dict[str, Any]:
    """How fast a table is described, with and without a profile."""
    seen = describe_dataset(data, name="data", profile=False)
    found: dict[str, Any] = {
        "MB": round(seen.size_bytes / MB),
        "limit: SHA-256 of as many bytes on one core, MB/s": one_core(seen.size_bytes),
    }
    for title, profile in (("digest alone", False), ("digest and profile", True)):
        seconds = best(lambda: describe_dataset(data, name="data", profile=profile))  # noqa: B023
        found[title] = {
            "MB/s": round(seen.size_bytes / MB / seconds),
            "rows/s": round(seen.row_count / seconds),
        }
    return found


def file_rates(folder: Path, size: int) -> dict[str, Any]:
    """How fast a file, and a folder of as many bytes, are hashed; both lie in the page cache."""
    data = _RANDOM.bytes(size // FILES)
    parts = folder / "parts"
    parts.mkdir()
    with (folder / "whole").open("wb") as whole:
        for index in range(FILES):
            whole.write(data)
            (parts / f"{index}.bin").write_bytes(data)
    found: dict[str, Any] = {"limit: SHA-256 on one core, MB/s": one_core(size)}
    for title, path in (("file", folder / "whole"), (f"folder of {FILES} files", parts)):
        seconds = best(lambda: describe_dataset(path, name="data"))  # noqa: B023
        found[f"{title}, MB/s"] = round(size / MB / seconds)
    return found


def growth(folder: Path, size: int) -> dict[str, Any]:
    """A file of Parquet that is read in bounded memory."""
    path = folder / "large.parquet"
    rows = 250_000
    group = pa.table({f"c{n}": _RANDOM.normal(size=rows) for n in range(10)})
    with pyarrow.parquet.ParquetWriter(
        path, group.schema, compression="none", use_dictionary=False
    ) as writer:
        for _ in range(size // group.nbytes):
            writer.write_table(group)
    found: dict[str, Any] = {"size of the file, MB": round(path.stat().st_size / MB)}
    for title, profile in (("digest alone", False), ("digest and profile", True)):
        command = [sys.executable, "-c", _GROWTH, str(path), str(profile)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE)  # noqa: S603 - our own
        found[title] = json.loads(done.stdout)
    return found


def peer(folder: Path) -> dict[str, Any]:
    """The peer's digest of a frame of numbers, and ours of the same."""
    numbers = np.random.default_rng(1).normal(size=(ROWS, 10))
    frame = pd.DataFrame(numbers).add_prefix("c")
    seconds = best(lambda: describe_dataset(frame, name="data", profile=False))
    before = describe_dataset(frame, name="data", profile=False).digest
    frame.iloc[-1, -1] += 1
    changed = describe_dataset(frame, name="data", profile=False).digest != before
    ours = {"ms": round(seconds * 1000, 1), "sees a change in the last row": changed}
    try:
        theirs = Peer(folder / "peer").run(_PEER, [ROWS])
    except PeerUnavailableError as error:
        theirs = {"unavailable": str(error)}
    return {f"{ROWS} rows of 10 numbers": {"Studbook": ours, "MLflow": theirs}}


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mb", type=int, default=1000, help="size of the large files")
    parser.add_argument("--no-peer", action="store_true", help="leave out MLflow")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found: dict[str, Any] = {
            "cores": os.cpu_count(),
            "tables": {title: rates(data) for title, data in tables().items()},
            "files": file_rates(folder, options.mb * MB),
            "a file of Parquet as a dataset of Arrow": growth(folder, options.mb * MB),
        }
        if not options.no_peer:
            found["peer"] = peer(folder)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
