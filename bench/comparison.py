"""`python -m bench.comparison`: what it takes to compare versions and inputs through the gateway.

Two versions of a model whose training data has 200 columns: the case in which most has to be
fetched and compared. Everything runs on this machine: three servers on SQLite, and this client.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import studbook
from bench.__main__ import transport_limit
from bench.timing import latency
from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook import login
from studbook.client import Client
from studbook.credentials import FixedToken
from studbook.model_comparison import check_inputs, compare_versions

COLUMNS = 200
ROWS = 20_000
CALLS = 60


def table(seed: int) -> dict[str, Any]:
    """Half numbers, half texts and whole numbers."""
    random = np.random.default_rng(seed)
    words = np.array([f"word {n}" for n in range(1000)])
    columns: dict[str, Any] = {f"n{n}": random.normal(size=ROWS) for n in range(COLUMNS // 2)}
    columns |= {f"w{n}": random.integers(0, 50, ROWS) for n in range(COLUMNS // 4)}
    return columns | {f"t{n}": random.choice(words, ROWS) for n in range(COLUMNS // 4)}


def register(number: str, data: dict[str, Any]) -> None:
    """A version that was trained on the data."""
    with studbook.init("comparing") as run:
        run.use_dataset(data, name="wide", role="training")
        path = Path("model.bin")
        path.write_text(number)
        run.log_model(path, register_as="wide", version=number)


def measure(stack: LocalStack) -> dict[str, Any]:
    """The figures."""
    gateway = stack.addresses.gateway
    os.environ["STUDBOOK_ADDRESS"] = gateway
    os.environ["STUDBOOK_TOKEN"] = token = login.as_demo_person(gateway, "ada").access_token
    for number, seed in (("1.0.0", 1), ("1.1.0", 2)):
        register(number, table(seed))
    inputs = studbook.profile_inputs(table(3)).message()
    with Client(gateway, workspace="main", token_source=FixedToken(token)) as client:
        answer = compare_versions("wide@1.0.0", "wide@1.1.0", client=client)
        assert answer.aspects[0].datasets[0].compared_columns == COLUMNS
        return {
            "limit: health check": transport_limit(gateway),
            f"compare two versions, {COLUMNS} columns": latency(
                lambda: compare_versions("wide@1.0.0", "wide@1.1.0", client=client), CALLS
            ),
            "compare a version with itself": latency(
                lambda: compare_versions("wide@1.0.0", "wide@1.0.0", client=client), CALLS
            ),
            f"check inputs, {COLUMNS} columns, {inputs.ByteSize() // 1000} kB sent": latency(
                lambda: check_inputs("wide@1.0.0", inputs, client=client), CALLS
            ),
        }


def main() -> None:
    """Start a stack, measure, print."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.chdir(folder)
        with LocalStack(folder / "stack", Ports.from_base(0)) as stack:
            print(json.dumps(measure(stack), indent=2))


if __name__ == "__main__":
    main()
