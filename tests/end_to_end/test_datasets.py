"""Every kind of dataset, from a training program to the command line, over the gateway."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from studbook.tracking.v1 import dataset_service_pb2 as pb
from tests.end_to_end import story
from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from pathlib import Path

    from local_stack.stack import LocalStack
    from studbook.tracking.v1.dataset_pb2 import Dataset
    from tests.end_to_end.conftest import Everyone


PROGRAM = """
import gzip, json, sys
from pathlib import Path

import datasets
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import studbook

prefix = sys.argv[1]
for name in ("data/red.csv", "data/white.csv", "data/part/rose.csv", "data/notes.txt"):
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Path(name).write_text(f"colour,alcohol\\n{name},12.5\\n")
md5 = "22e3d2ca5ff41d0d9f3b22ef9cb4b3d5"
Path("wine.csv.dvc").write_text(f"outs:\\n- md5: {md5}\\n  path: wine.csv\\n")
Path("large.bin").write_text(
    "version https://git-lfs.github.com/spec/v1\\noid sha256:" + "ab" * 32 + "\\nsize 99\\n"
)
Path("delta/_delta_log").mkdir(parents=True)
Path("delta/_delta_log/00000000000000000003.json").write_text("{}")
Path("iceberg/metadata").mkdir(parents=True)
Path("iceberg/metadata/v1.metadata.json").write_text(
    json.dumps({"location": "s3://lake/wine", "format-version": 2, "current-snapshot-id": 7})
)
rows = {"colour": ["red", "white", None, "red"], "alcohol": [12.5, 11.0, 13.5, 12.0]}
arrow = pa.table(rows)
commit = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
kinds = {
    "file": "data/red.csv",
    "folder": Path("data"),
    "pattern": "data/**/*.csv",
    "bytes": b"colour,alcohol\\n",
    "array": np.arange(6.0).reshape(3, 2),
    "images": np.zeros((5, 4, 4), dtype="u1"),
    "columns": {"image": np.zeros((2, 3, 3)), "label": [0, 1]},
    "pandas": pd.DataFrame(rows),
    "polars": pl.DataFrame(rows),
    "arrow": arrow,
    "reader": arrow.to_reader(),
    "hugging-face": datasets.Dataset.from_dict(rows),
    "dvc": "wine.csv.dvc",
    "git-lfs": "large.bin",
    "delta": "delta",
    "iceberg": "iceberg",
    "lakefs": f"lakefs://wine/{commit}/red",
    "reference": studbook.reference("warehouse", "https://ada:secret@host/wine", "v7"),
    "odd": {
        "": [1, 1],
        "\\x1b[31mred": ["\\x1b[31m\\n\\0"] * 2,
        "n" * 9999: [b"\\xff"] * 2,
        "\\0": [2, 3],
    },
    "wide": np.arange(50_000).reshape(5, 10_000) % 3,
}
seen = {}
with studbook.init(prefix, run_id="uses") as run:
    for kind, data in kinds.items():
        use = run.use_dataset(data, name=f"{prefix}-{kind}", role=kind)
        seen[kind] = (use.digest, use.format, use.row_count, len(use.columns))
    for kind, data in {"plain": pd.DataFrame(rows)}.items():
        run.use_dataset(data, name=f"{prefix}-{kind}", role=kind, profile=False, version="v1")
print(json.dumps(seen))
"""


class Used:
    """What a program recorded, and the means to look at it."""

    def __init__(self, stack: LocalStack, token: str, folder: Path, prefix: str) -> None:
        self.prefix = prefix
        self.folder = folder
        self._environment = {
            **os.environ,
            "STUDBOOK_ADDRESS": stack.addresses.gateway,
            "STUDBOOK_TOKEN": token,
            "STUDBOOK_DIR": str(folder / "records"),
        }
        (answer,) = self.run("-c", PROGRAM, prefix)
        self.seen = {kind: tuple(use) for kind, use in json.loads(answer).items()}

    def run(self, *arguments: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def rows(self, *arguments: str) -> list[list[str]]:
        lines = self.run("-m", "studbook.cli", "dataset", *arguments)
        return [line.split("\t") for line in lines]


@pytest.fixture(scope="module")
def used(
    stack: LocalStack, tokens: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Used:
    folder = tmp_path_factory.mktemp("used")
    return Used(stack, tokens["ada"], folder, f"wine-{folder.name[-1]}-{os.getpid()}")


def registered(everyone: Everyone, used: Used, kind: str) -> Dataset:
    parent = f"{story.WORKSPACE}/datasets/{used.prefix}-{kind}"
    (listed,) = everyone.ada.datasets.ListDatasets(pb.ListDatasetsRequest(parent=parent)).datasets
    return everyone.ada.datasets.GetDataset(pb.GetDatasetRequest(name=listed.name)).dataset


def test_what_was_seen_is_registered(everyone: Everyone, used: Used) -> None:
    for kind, (digest, form, rows, columns) in used.seen.items():
        kept = registered(everyone, used, kind)
        assert (kept.digest, kept.format) == (digest, form), kind
        assert (kept.row_count, len(kept.columns)) == (rows, columns), kind
        uses = everyone.ada.datasets.ListDatasetRuns(pb.ListDatasetRunsRequest(name=kept.name)).uses
        assert [(use.run.rpartition("/")[2], use.role) for use in uses] == [("uses", kind)]


def test_a_table_is_the_same_in_each_library(used: Used) -> None:
    same = {used.seen[kind] for kind in ("pandas", "polars", "arrow", "reader", "hugging-face")}

    assert same == {(used.seen["arrow"][0], "table/v1", 4, 2)}
    assert used.seen["wide"][2:] == (5, 10_000)


def test_references_are_named_by_the_version_of_their_system(
    everyone: Everyone, used: Used
) -> None:
    def reference(kind: str) -> tuple[str, str, str]:
        kept = registered(everyone, used, kind)
        assert kept.format == "reference/v1"
        return kept.reference.system, kept.reference.uri, kept.reference.version

    assert reference("dvc") == ("dvc", "wine.csv", "22e3d2ca5ff41d0d9f3b22ef9cb4b3d5")
    assert reference("git-lfs") == ("git-lfs", "large.bin", "sha256:" + "ab" * 32)
    assert reference("delta") == ("delta", str(used.folder / "delta"), "3")
    assert reference("iceberg") == ("iceberg", "s3://lake/wine", "7")
    assert reference("lakefs")[2].startswith("9f86d081884c")
    assert reference("reference") == ("warehouse", "https://host/wine", "v7")


def test_profiles_are_kept_unless_they_are_not_wanted(everyone: Everyone, used: Used) -> None:
    colour, alcohol = (column.profile for column in registered(everyone, used, "pandas").columns)
    assert [(top.value, top.count) for top in colour.top_values] == [("red", 2)]
    assert (alcohol.numbers.min, alcohol.numbers.max) == (11.0, 13.5)
    assert all(c.HasField("profile") for c in registered(everyone, used, "wide").columns)

    plain = registered(everyone, used, "plain")
    assert not any(column.HasField("profile") for column in plain.columns)
    assert [column.null_count for column in plain.columns] == [1, 0]
    assert plain.digest == used.seen["pandas"][0]


def test_the_command_line(used: Used) -> None:
    ((name, form, rows, *_, digest, source),) = used.rows("ls", f"{used.prefix}-file")
    assert (form, rows, source) == ("file/v1", "-", "data/red.csv")
    assert digest == used.seen["file"][0]
    assert used.rows("digest", "data/red.csv") == [[f"{digest}  file/v1"]]
    for kind, path in {"folder": "data", "pattern": "data/**/*.csv", "delta": "delta"}.items():
        assert used.rows("digest", path) == [["  ".join(used.seen[kind][:2])]]

    shown = used.rows("show", f"{used.prefix}-plain@v1")
    assert ["Dataset", f"{used.prefix}-plain@v1"] in shown
    assert ["colour", "string", "1", *["-"] * 5] in shown
    assert [f"{used.prefix}/uses", "plain"] in shown
    shown = used.rows("show", f"{used.prefix}-pandas")
    assert ["colour", "string", "1", "2", "3 long", "-", "5 long", "red (2)"] in shown
    assert ["alcohol", "double", "0", "4", "11", "12.5", "13.5", "-"] in shown
    assert ["Reference", "dvc wine.csv at 22e3d2ca5ff41d0d9f3b22ef9cb4b3d5"] in used.rows(
        "show", f"{used.prefix}-dvc"
    )
    whole: dict[str, Any] = json.loads(
        "".join(used.run("-m", "studbook.cli", "dataset", "show", name, "--json"))
    )
    assert whole["digest"] == digest


def test_lists_are_filtered_and_ordered(used: Used) -> None:
    mine = f'name = "workspaces/main/datasets/{used.prefix}-*"'
    tables = used.rows("ls", "--filter", f'{mine} AND format = "table/v1" AND row_count > 4', "-q")
    assert sorted(row[0].partition("@")[0] for row in tables) == [
        f"{used.prefix}-images",
        f"{used.prefix}-wide",
    ]
    largest = used.rows(
        "ls", "--filter", mine, "--order-by", "size_bytes desc", "--limit", "1", "-q"
    )
    assert largest[0][0].startswith(f"{used.prefix}-wide@")


def test_nothing_that_data_says_reaches_the_terminal(used: Used) -> None:
    text = "\n".join(used.run("-m", "studbook.cli", "dataset", "show", f"{used.prefix}-odd"))

    assert "\x1b" not in text
    assert "\0" not in text
    assert "(no name)" in text
