"""Databases of the tracking service with very many runs, for measuring how they are searched.

Logging a million runs through the contract would take hours. The rows are written as the service
stores them, into the schema that its own migrations make, and kept for the next time.
"""

from __future__ import annotations

import hashlib
import json
import math
import sqlite3
import sys
import time
import uuid
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
from sqlalchemy.dialects import sqlite

from bench.peer import cache_folder
from service_chassis.caller import Principal
from service_chassis.database import Database
from tracking_service.records import Param, RunState
from tracking_service.store.principals import principal_document
from tracking_service.store.run_contents import param_row
from tracking_service.tables import experiments, metric_series, metric_writers, params, runs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import sqlalchemy as sa
    from numpy.typing import NDArray

WORKSPACE = "main"
EXPERIMENT = "bench"
# Each run has one value of each, whichever; so `params.lr = 0.001` is met by a tenth of them.
CHOICES: Mapping[str, Sequence[str | int | float | bool]] = {
    "augment": (True, False),
    "batch_size": (16, 32, 64, 128, 256),
    "depth": range(1, 9),
    "dropout": (0.0, 0.1, 0.2, 0.5),
    "lr": tuple(round(0.001 * (place + 1), 3) for place in range(10)),
    "model": ("convnext", "efficientnet", "resnet-50", "resnet-101", "vit"),
    "optimizer": ("adam", "adamw", "sgd"),
    "seed": range(1000),
    "warmup_steps": (0, 500, 1000),
    "weight_decay": (0.0, 1e-5, 1e-4, 1e-3),
}
# Spread evenly from 0 to 1, each independent of the others but for `error`, which is 1 - `acc`.
METRICS = (
    *("acc", "auc", "f1", "loss", "precision", "recall"),
    *("val/acc", "val/f1", "val/loss", "error"),
)
_STEPS = 100
_START_US = 1_760_000_000_000_000
_BATCH = 10_000
# Changes when other rows are made.
_CONTENT = 1


def many_runs(count: int) -> Path:
    """A database with so many runs in one experiment, made if need be; it must not be changed.

    A million take four minutes to make, and 3.2 GB.
    """
    folder = cache_folder() / "runs"
    folder.mkdir(parents=True, exist_ok=True)
    new = folder / f"new-{uuid.uuid4().hex}.sqlite"
    database = Database(f"sqlite:///{new}", "tracking_service")
    try:
        database.migrate()
    finally:
        database.close()
    try:
        with closing(sqlite3.connect(new, isolation_level=None)) as connection:
            made = folder / f"{count}-{_fingerprint(connection)}.sqlite"
            if not made.exists():
                print(f"Making {count} runs in {made} ...", file=sys.stderr)
                _fill(connection, count)
        if not made.exists():
            new.rename(made)
    finally:
        new.unlink(missing_ok=True)
    return made


def _fingerprint(connection: sqlite3.Connection) -> str:
    schema = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
    return hashlib.sha256(repr((_CONTENT, schema)).encode()).hexdigest()[:12]


def _fill(connection: sqlite3.Connection, count: int) -> None:
    start = time.perf_counter()
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("PRAGMA cache_size = -500000")
    with _indexes_made_after(connection):
        connection.execute("BEGIN")
        _insert(connection, experiments, _experiment())
        for first in range(1, count + 1, _BATCH):
            _add_runs(connection, np.arange(first, min(first + _BATCH, count + 1)))
        connection.execute("COMMIT")
    connection.execute("PRAGMA journal_mode = WAL")
    print(f"... took {time.perf_counter() - start:.0f} s", file=sys.stderr)


@contextmanager
def _indexes_made_after(connection: sqlite3.Connection) -> Iterator[None]:
    """Without indexes while rows are added; filling them in order is many times as fast."""
    found = connection.execute(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in found:
        connection.execute(f'DROP INDEX "{name}"')
    yield
    for _, statement in found:
        connection.execute(statement)


def _experiment() -> dict[str, list[Any]]:
    return {
        "id": [1],
        "uid": [uuid.UUID(int=0).hex],
        "workspace": [WORKSPACE],
        "experiment": [EXPERIMENT],
        "description": [""],
        "create_time": [_START_US],
        "update_time": [_START_US],
        "revision": [1],
    }


def _add_runs(connection: sqlite3.Connection, keys: NDArray[np.int64]) -> None:
    random = np.random.default_rng(int(keys[0]))
    _insert(connection, runs, _run_columns(keys))
    _insert(connection, params, _param_columns(keys, random))
    _insert(connection, metric_series, _series_columns(keys, random))
    writers: dict[str, list[Any]] = {
        "writer": ["sdk"],
        "last_sequence": [3],
        "heard_time": [_START_US],
    }
    _insert(connection, metric_writers, {"run": keys.tolist(), **_repeated(writers, len(keys))})


def _run_columns(keys: NDArray[np.int64]) -> dict[str, list[Any]]:
    creator = Principal(id="user:dev:ada", kind="user", display_name="Ada Lovelace")
    uids = [uuid.UUID(int=key).hex for key in keys.tolist()]
    created = (_START_US + keys * 1_000_000).tolist()
    same: dict[str, list[Any]] = {
        "experiment": [1],
        "workspace": [WORKSPACE],
        "description": [""],
        "state": [int(RunState.FINISHED)],
        "state_reason": [""],
        "creator_id": [creator.id],
        "creator": [json.dumps(principal_document(creator))],
        "revision": [2],
    }
    times = dict.fromkeys(
        ("start_time", "end_time", "create_time", "update_time", "heard_time"), created
    )
    names = [f"Run {key}" for key in keys.tolist()]
    return {
        "id": keys.tolist(),
        "uid": uids,
        "run": uids,
        "display_name": names,
        **times,
        **_repeated(same, len(keys)),
    }


def _param_columns(keys: NDArray[np.int64], random: np.random.Generator) -> dict[str, list[Any]]:
    rows = {
        key: [param_row(Param(key, value)) for value in values] for key, values in CHOICES.items()
    }
    chosen = np.stack(
        [random.integers(len(values), size=len(keys)) for values in CHOICES.values()], axis=1
    )
    picked = [
        rows[key][place]
        for places in chosen.tolist()
        for key, place in zip(rows, places, strict=True)
    ]
    return {
        "run": np.repeat(keys, len(CHOICES)).tolist(),
        **_repeated({"experiment": [1]}, len(picked)),
        **{name: [row[name] for row in picked] for name in picked[0]},
    }


def _series_columns(keys: NDArray[np.int64], random: np.random.Generator) -> dict[str, list[Any]]:
    last = random.random((len(keys), len(METRICS)))
    last[:, METRICS.index("error")] = 1 - last[:, METRICS.index("acc")]
    values = last.ravel()
    same: dict[str, list[Any]] = {
        "experiment": [1],
        "key": list(METRICS),
        "points": [_STEPS],
        "finite_points": [_STEPS],
        "last_step": [_STEPS - 1],
        "min_step": [_STEPS // 3],
        "max_step": [_STEPS // 2],
        "last_time": [_START_US],
        "chunks": [1],
        "unmerged": [0],
    }
    return {
        "run": np.repeat(keys, len(METRICS)).tolist(),
        "first": (values * 0.5).tolist(),
        "last": values.tolist(),
        "min": (values * 0.5).tolist(),
        "max": np.sqrt(values).tolist(),
        "mean": (values * math.sqrt(0.5)).tolist(),
        **_repeated(same, len(values)),
    }


def _repeated(columns: Mapping[str, list[Any]], rows: int) -> dict[str, list[Any]]:
    return {name: values * (rows // len(values)) for name, values in columns.items()}


def _insert(
    connection: sqlite3.Connection, table: sa.Table, columns: Mapping[str, list[Any]]
) -> None:
    """Add rows that are given as columns."""
    dialect = sqlite.dialect(paramstyle="qmark")
    statement = table.insert().compile(dialect=dialect, column_keys=list(columns))
    ordered = [columns[name] for name in statement.positiontup or ()]
    connection.executemany(str(statement), zip(*ordered, strict=True))
