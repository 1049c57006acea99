"""`python -m bench.drift`: how often drift is seen where there is none, and where there is.

Tables of known shape are profiled as `use_dataset` profiles them and compared by their profiles
alone. A comparison errs when any column of the table is called drifted. The other figure is the
share of comparisons in which the column that was changed is found.
"""

from __future__ import annotations

import argparse
import base64
import json
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from studbook.dataset_progress import Progress
from studbook.dataset_reading import read_table
from studbook.drift import TableProfile, compare_tables, drifted
from studbook.table_sources import table_of
from studbook.tracking.v1 import dataset_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    Columns = dict[str, Any]

COLUMNS = 20
PLAIN = "normal + 0.5 standard deviations"
SPLITS = 1000
ROWS = 10_000
_EPOCH = np.datetime64("2026-01-01", "s")


def profile(columns: Columns) -> TableProfile:
    """What is recorded of a table."""
    with Progress("table", -1, rows=True) as progress:
        content = read_table(table_of(columns), progress, profile=True)
    messages = []
    for column in content.columns:
        message = dataset_pb2.Column(
            name=column.name, type=column.type, null_count=column.null_count
        )
        message.profile.ParseFromString(base64.b64decode(column.profile))
        messages.append(message)
    return TableProfile(content.row_count, messages)


def normal_table(random: np.random.Generator, rows: int) -> Columns:
    """Twenty columns of normal numbers."""
    return {f"c{n}": random.normal(size=rows) for n in range(COLUMNS)}


def mixed_table(random: np.random.Generator, rows: int) -> Columns:
    """Twenty columns of every kind, difficult ones among them."""
    words = np.array([f"word {n}" for n in range(5000)])
    popular = 1 / np.arange(1, 5001)
    return {
        "normal": random.normal(size=rows),
        "missing": np.where(random.random(rows) < 0.03, np.nan, random.normal(size=rows)),
        "mostly missing": np.where(random.random(rows) < 0.99, np.nan, random.random(rows)),
        "constant": np.full(rows, 7.0),
        "nearly constant": np.where(random.random(rows) < 0.001, 1, 0),
        "few whole numbers": random.integers(0, 5, rows),
        "counts": random.poisson(8, rows),
        "rare": random.poisson(0.02, rows),
        "heavy tail": random.standard_cauchy(rows),
        "log-normal": random.lognormal(0, 3, rows),
        "prices": np.round(random.lognormal(3, 1, rows), 2),
        "two heaps": random.normal(size=rows) + 8 * random.integers(0, 2, rows),
        "half zeros": np.where(random.random(rows) < 0.5, 0.0, random.random(rows)),
        "truth": random.random(rows) < 0.3,
        "time": _EPOCH + random.integers(0, 10**7, rows).astype("m8[s]"),
        "day": (_EPOCH + random.integers(0, 10**7, rows).astype("m8[s]")).astype("M8[D]"),
        "colour": random.choice(words[:6], rows, p=[0.5, 0.3, 0.1, 0.06, 0.03, 0.01]),
        "many words": random.choice(words[:40], rows),
        "popular words": random.choice(words, rows, p=popular / popular.sum()),
        "text": np.char.add("t", random.integers(0, 10**12, rows).astype(str)),
    }


def false_alarms(
    make: Callable[[np.random.Generator, int], Columns],
    rows: int,
    sizes: tuple[int, int],
    splits: int,
    seed: int,
) -> list[str]:
    """Columns that are called drifted in random splits of a table."""
    random = np.random.default_rng(seed)
    table = make(random, rows)
    found = []
    for _ in range(splits):
        order = random.permutation(rows)
        parts = (order[: sizes[0]], order[sizes[0] : sizes[0] + sizes[1]])
        first, second = (
            profile({name: values[part] for name, values in table.items()}) for part in parts
        )
        hits = drifted(compare_tables(first, second))
        if hits:
            found.append(", ".join(column.name for column in hits))
    return found


CHANGES: dict[str, Callable[[np.random.Generator, Any], Any]] = {
    PLAIN: lambda _, values: values + 0.5,
    "normal, x 1.5": lambda _, values: values * 1.5,
    "normal, 5 % become -999": lambda random, values: np.where(
        random.random(len(values)) < 0.05, -999.0, values
    ),
    "normal, 5 % missing": lambda random, values: np.where(
        random.random(len(values)) < 0.05, np.nan, values
    ),
    "colour, 10 % become another one": lambda random, values: np.where(
        random.random(len(values)) < 0.1, "word 1", values
    ),
    "many words, all become others": lambda _, values: np.char.add(values, "!"),
    "colour, 3 % become a new one": lambda random, values: np.where(
        random.random(len(values)) < 0.03, "word 99", values
    ),
}


def hits(change: str, rows: int, times: int, seed: int) -> int:
    """In how many comparisons a change of one column out of twenty is found."""
    random = np.random.default_rng(seed)
    target = change.split(",", maxsplit=1)[0]
    found = 0
    for _ in range(times):
        make = normal_table if change == PLAIN else mixed_table
        name = "c7" if make is normal_table else target
        first, second = make(random, rows), make(random, rows)
        second[name] = CHANGES[change](random, second[name])
        columns = drifted(compare_tables(profile(first), profile(second)))
        found += any(column.name == name for column in columns)
    return found


def spread(work: Callable[..., Any], total: int, *arguments: Any) -> list[Any]:
    """Do so many comparisons in as many processes as there are cores."""
    workers = os.cpu_count() or 1
    parts = [total // workers + (n < total % workers) for n in range(workers)]
    with ProcessPoolExecutor(workers) as pool:
        return list(pool.map(partial(work, *arguments), parts, range(1, workers + 1)))


def alarm_rates(splits: int) -> dict[str, Any]:
    """False alarms over whole tables."""
    cases = {
        f"{ROWS} rows of numbers, halves": (normal_table, ROWS, (ROWS // 2, ROWS // 2), splits),
        f"{ROWS} rows of everything, halves": (
            mixed_table,
            ROWS,
            (ROWS // 2, ROWS // 2),
            splits // 4,
        ),
        "200 rows of everything, halves": (mixed_table, 200, (100, 100), splits // 2),
        "100 rows of everything beside 9 900": (mixed_table, ROWS, (100, 9900), splits // 10),
        "1 000 000 rows of numbers, halves": (normal_table, 10**6, (5 * 10**5,) * 2, splits // 200),
    }
    rates: dict[str, Any] = {}
    for title, (make, rows, sizes, times) in cases.items():
        found = [hit for part in spread(false_alarms, times, make, rows, sizes) for hit in part]
        rates[title] = {"splits": times, "called drifted": len(found)}
        if found:
            rates[title]["columns"] = found[:10]
    return rates


def found_rate(change: str, times: int) -> str:
    """How often a change is found."""
    return f"{sum(spread(hits, times, change, ROWS))} of {times}"


def main() -> None:
    """Measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--splits", type=int, default=SPLITS, help="random splits of a table")
    options = parser.parse_args()
    start = time.perf_counter()
    found = {
        "false alarms, of whole tables of 20 columns": alarm_rates(options.splits),
        f"found, of 20 columns with {ROWS} rows": {
            change: found_rate(change, max(options.splits // (1 if plain else 20), 1))
            for change, plain in ((change, change == PLAIN) for change in CHANGES)
        },
    }
    print(json.dumps(found | {"seconds": round(time.perf_counter() - start)}, indent=2))


if __name__ == "__main__":
    main()
