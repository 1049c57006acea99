"""`python -m bench.search`: find runs among very many of one experiment, through the gateway.

Beside the figures stand two limits of the same run: a health check, and the best that a statement
written by hand for one of the searches does in SQLite, without anything around it.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.field_mask_pb2 import FieldMask

from bench.__main__ import transport_limit
from bench.many_runs import EXPERIMENT, WORKSPACE, many_runs
from bench.timing import latency
from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook import login
from studbook.client import Client
from studbook.credentials import FixedToken
from studbook.tracking.v1 import run_service_pb2 as pb

if TYPE_CHECKING:
    from collections.abc import Callable

PARENT = f"workspaces/{WORKSPACE}/experiments/{EXPERIMENT}"
CALLS = 60
GOAL = "param and metric, by another metric"
# A tenth of all runs meets either condition, a hundredth both.
BOTH = "params.lr = 0.001 AND metrics.acc > 0.9"
SEARCHES: dict[str, dict[str, Any]] = {
    GOAL: {"filter": BOTH, "order_by": "metrics.loss"},
    f"{GOAL}, page of 100": {"filter": BOTH, "order_by": "metrics.loss", "page_size": 100},
    "param and metric, by that metric": {"filter": BOTH, "order_by": "metrics.acc desc"},
    # The tenth of all runs that meet it are the last in this order.
    "metric, by its opposite": {"filter": "metrics.acc > 0.9", "order_by": "metrics.error desc"},
    "no run matches": {
        "filter": "params.lr = 0.001 AND metrics.acc > 2",
        "order_by": "metrics.loss",
    },
    "one in 10 000 matches": {
        "filter": "params.seed = 7 AND params.lr = 0.001",
        "order_by": "metrics.loss",
    },
    "part of a text": {"filter": 'params.model = "*101*"'},
    "latest": {},
}
# What a table of runs shows of each.
MASK = FieldMask(paths=["display_name", "state", "params.lr", "metrics.acc", "metrics.loss"])
BY_HAND = """
    SELECT sought.run FROM metric_series AS sought
    WHERE sought.experiment = 1 AND sought.key = 'loss' AND sought.last IS NOT NULL
    AND EXISTS (
        SELECT 1 FROM params WHERE run = sought.run AND key = 'lr' AND number_value = 0.001
    ) AND EXISTS (
        SELECT 1 FROM metric_series WHERE run = sought.run AND key = 'acc' AND last > 0.9
    ) ORDER BY sought.last, sought.run LIMIT 51
"""


def by_hand(database: Path) -> dict[str, float]:
    """The ids of the runs of one search, by one statement."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        connection.execute("PRAGMA mmap_size = 2147418112")  # as the service has it
        return latency(lambda: connection.execute(BY_HAND).fetchall(), CALLS)


def page_five(client: Client) -> Callable[[], object]:
    """Reads the fifth page of a search."""
    request = pb.ListRunsRequest(parent=PARENT, **SEARCHES[GOAL])
    for _ in range(4):
        request.page_token = client.runs.ListRuns(request).next_page_token
    return partial(client.runs.ListRuns, request)


def measure(count: int, folder: Path) -> dict[str, dict[str, float]]:
    """All figures for so many runs."""
    database = many_runs(count)
    databases = {"tracking": f"sqlite:///{database}"}
    with LocalStack(folder, Ports.from_base(0), databases=databases) as stack:
        gateway = stack.addresses.gateway
        token = FixedToken(login.as_demo_person(gateway, "ada").access_token)
        with Client(gateway, workspace=WORKSPACE, token_source=token) as client:
            found = {
                "limit: health check": transport_limit(gateway),
                "limit: one statement by hand": by_hand(database),
            }
            for name, arguments in SEARCHES.items():
                request = pb.ListRunsRequest(parent=PARENT, **arguments)
                found[name] = latency(partial(client.runs.ListRuns, request), CALLS)
            masked = pb.ListRunsRequest(parent=PARENT, read_mask=MASK, **SEARCHES[GOAL])
            found[f"{GOAL}, five columns"] = latency(partial(client.runs.ListRuns, masked), CALLS)
            found[f"{GOAL}, page 5"] = latency(page_five(client), CALLS)
    return found


def main() -> None:
    """Measure each number of runs, print."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m bench.search")
    parser.add_argument(
        "--runs", type=int, nargs="+", default=[100_000], help="how many; several give the growth"
    )
    counts = parser.parse_args().runs
    figures: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as name:
        found = {count: measure(count, Path(name) / str(count)) for count in counts}
    for count in counts:
        figures[f"{count} runs"] = found[count]
        if count != counts[0]:
            figures[f"growth from {counts[0]} to {count} runs"] = {
                search: round(times["p50_ms"] / found[counts[0]][search]["p50_ms"], 2)
                for search, times in found[count].items()
            }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
