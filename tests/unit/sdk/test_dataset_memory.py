"""However large a dataset is, reading it takes the memory of a few batches."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest

ROOT = Path(__file__).resolve().parents[3]
MB = 10**6

# The file is larger than what reading it may take. Memory is looked at all the time.
MEASURE = """
import json, os, sys, threading, time
import pyarrow as pa, pyarrow.dataset
from studbook.datasets import describe_dataset

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def batches(path):
    file = pyarrow.parquet.ParquetFile(path, pre_buffer=False, buffer_size=1 << 20)
    return pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches(1000))

kind, path = sys.argv[1:]
makers = {
    "file": lambda: path,
    "dataset": lambda: pyarrow.dataset.dataset(path),
    "reader": lambda: batches(path),
}
describe_dataset(pa.table({"n": [1], "t": ["a"]}), name="warm")  # what is imported does not count
data = makers[kind]()
before = most = resident()
done = threading.Event()

def watch():
    global most
    while not done.wait(0.002):
        most = max(most, resident())

watcher = threading.Thread(target=watch)
watcher.start()
seen = describe_dataset(data, name="data")
done.set()
watcher.join()
print(json.dumps({"grown": most - before, "rows": seen.row_count, "hashed": seen.size_bytes}))
"""


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of Parquet with long texts, a row group being 50 MB of 400."""
    path: Path = tmp_path_factory.mktemp("large") / "texts.parquet"
    letters = np.random.default_rng(1).integers(97, 123, 50 * MB, dtype=np.uint8).tobytes()
    rows = 10_000
    offsets = pa.py_buffer(np.arange(0, 50 * MB + 1, 5000, dtype="<i4").tobytes())
    column = pa.StringArray.from_buffers(rows, offsets, pa.py_buffer(letters))
    group = pa.table({"n": np.arange(rows), "t": column})
    with pyarrow.parquet.ParquetWriter(
        path, group.schema, compression="none", use_dictionary=False
    ) as writer:
        for _ in range(8):
            writer.write_table(group)
    return path


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="there is no /proc to look at")
@pytest.mark.parametrize("kind", ["file", "dataset", "reader"])
def test_memory_stays_far_below_the_size_of_the_data(texts: Path, kind: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, kind, str(texts)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)

    assert answer["rows"] == (-1 if kind == "file" else 80_000)
    assert answer["hashed"] > 400 * MB
    assert answer["grown"] < 200 * MB
