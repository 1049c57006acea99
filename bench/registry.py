"""`python -m bench.registry`: what does a name stand for, now and in a long past?

Through the gateway, with a token, on SQLite, one call after another. Beside the figures stand a
health check, the cheapest call to the same port, and the peer's own way to ask for a version by
alias, in the same run.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp

from bench.__main__ import transport_limit
from bench.peer import Peer, PeerUnavailableError
from bench.story import Story
from bench.timing import latency
from local_stack.ports import Ports
from local_stack.stack import LocalStack
from registry_service.promotion import StageChange, change_stage
from registry_service.records import Stage
from registry_service.store import RegistryStore
from service_chassis.caller import Caller, Principal
from service_chassis.database import Database
from studbook.registry.v1 import alias_service_pb2, promotion_service_pb2, serving_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

CALLS = 1000
TRANSITIONS = 10_000
VERSIONS = ("1.1.0", "1.0.0")
PEER_CALLS = 100
PEER = """
import json, statistics, sys, time
from mlflow import MlflowClient

client = MlflowClient()
client.create_registered_model("bench")
run = client.create_run(client.create_experiment("bench"))
client.create_model_version("bench", run.info.artifact_uri, run.info.run_id)
client.set_registered_model_alias("bench", "champion", "1")
taken = []
for _ in range(int(sys.argv[1])):
    start = time.perf_counter()
    client.get_model_version_by_alias("bench", "champion")
    taken.append((time.perf_counter() - start) * 1000)
print(json.dumps({"p50_ms": round(statistics.median(taken), 3)}))
"""


def make_history(database: Database, model: str) -> list[int]:
    """Put two versions into Production by turns; returns the beginnings of their times there."""
    caller = Caller(
        Principal(id="service:bench", kind="service"),
        {f"models.{act}": ("**",) for act in ("read", "transition", "promote")},
    )

    def in_transaction(connection: sa.Connection) -> list[int]:
        store = RegistryStore(connection)
        times = []
        # Each time one enters, the other leaves.
        for turn in range(TRANSITIONS // 2):
            change = StageChange(f"{model}/versions/{VERSIONS[turn % 2]}", Stage.PRODUCTION)
            changed = change_stage(store, caller, change, run_is_held=True)
            times.append(changed.version.stage_us)
        return times

    return database.write_now(in_transaction)


class Questions:
    """What is asked, of a running Studbook.

    Args:
        stack: Where.
    """

    def __init__(self, stack: LocalStack) -> None:
        self._story = Story(stack)
        self.model = self._story.model
        self._client = self._story.release
        self._client.aliases.SetAlias(
            alias_service_pb2.SetAliasRequest(
                name=f"{self.model}/aliases/champion", version=f"{self.model}/versions/1.1.0"
            )
        )

    def resolve(self, **fields: Any) -> Callable[[], object]:
        """Asks what a selector stands for."""
        request = serving_service_pb2.ResolveVersionRequest(model=self.model, **fields)
        return lambda: self._client.serving.ResolveVersion(request)

    def at_all_times(self, times: list[int]) -> Callable[[], object]:
        """Asks what was in Production, each time at another moment of the history."""
        moments = []
        for us in times:
            moments.append(Timestamp())
            moments[-1].FromMicroseconds(us)
        turn = iter(range(10**9))

        def ask() -> object:
            place = next(turn) * 7919 % len(moments)
            request = serving_service_pb2.ResolveVersionRequest(model=self.model, at=moments[place])
            answer = self._client.serving.ResolveVersion(request)
            if answer.version.version != VERSIONS[place % 2]:
                message = f"wrong answer for moment {place}"
                raise RuntimeError(message)
            return answer

        return ask

    def first_page(self) -> object:
        """The latest transitions."""
        request = promotion_service_pb2.ListTransitionsRequest(parent=self.model)
        return self._client.promotions.ListTransitions(request)


def measure(stack: LocalStack) -> dict[str, object]:
    """The figures of Studbook."""
    questions = Questions(stack)
    found: dict[str, object] = {
        "limit: health check": transport_limit(stack.addresses.gateway),
        "resolve Production": latency(questions.resolve(), CALLS),
        "resolve an alias": latency(questions.resolve(alias="champion"), CALLS),
        "resolve a number": latency(questions.resolve(version="1.1.0"), CALLS),
        "resolve a range": latency(questions.resolve(range="^1"), CALLS),
    }
    path = stack.folder.path / "registry.sqlite"
    database = Database(f"sqlite:///{path}", "registry_service")
    try:
        times = make_history(database, questions.model)
    finally:
        database.close()
    return {
        **found,
        f"Production at any time of {TRANSITIONS} transitions": latency(
            questions.at_all_times(times), CALLS
        ),
        f"Production now, after {TRANSITIONS} transitions": latency(questions.resolve(), CALLS),
        "the latest 50 transitions": latency(questions.first_page, CALLS // 5),
    }


def measure_peer(folder: Path) -> dict[str, object]:
    """The peer's figure, or why there is none."""
    try:
        with Peer(folder) as peer:
            return peer.run(PEER, [PEER_CALLS])
    except PeerUnavailableError as error:
        return {"unavailable": str(error)}


def main() -> None:
    """Start a stack, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-peer", action="store_true", help="leave out MLflow")
    parser.add_argument("--separate", action="store_true", help="a process for each service")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with LocalStack(folder / "stack", Ports.from_base(0), separate=options.separate) as stack:
            figures = measure(stack)
        if not options.no_peer:
            figures["peer: version by alias"] = measure_peer(folder / "peer")
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
