"""`python -m bench.gateway`: what the way through the gateway costs, and what it withstands.

Each service runs in a process of its own, so a call passes the gateway and then the registry. What
is asked is which version is in Production, which the registry answers from memory: nearly all of
the time is the way. Beside it stands the same call put to the registry directly, with an assertion
as the gateway makes one; and at the end the same where the registry is mounted in the gateway, as
`studbook up` has it.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import multiprocessing
import tempfile
import time
import uuid
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import grpc
import yaml
from joserfc import jwt
from joserfc.jwk import ECKey

from bench.__main__ import transport_limit
from bench.bare_grpc import hop_limit
from bench.story import Story
from bench.timing import latency
from local_stack.ports import Ports
from local_stack.stack import LocalStack
from service_chassis.assertion import METADATA_KEY, AssertionSigner
from service_chassis.caller import Caller, Principal
from studbook import login
from studbook.client import Client
from studbook.credentials import FixedToken
from studbook.identity.v1.identity_service_pb2 import WhoAmIRequest
from studbook.registry.v1.serving_service_pb2 import ResolveVersionRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from service_chassis.caller import Metadata

METHOD = "/studbook.registry.v1.ServingService/ResolveVersion"
CALLS = 1000
COLD_CALLS = 300
CALLERS = 32
SECONDS = 5.0
FLOOD_A_SECOND = 2000
MANY = 1000
# As many as fit into a token.
GROUPS_OF_A_TOKEN = 500


class Tokens:
    """Tokens of the development issuer's person, made here with its key.

    Args:
        stack: A running Studbook.
    """

    def __init__(self, stack: LocalStack) -> None:
        self.good = login.as_demo_person(stack.addresses.gateway, "ada").access_token
        pem = (stack.folder.keys / "issuer-people.pem").read_bytes()
        self._key = ECKey.import_key(pem)
        found = jwt.decode(self.good, self._key, algorithms=["ES256"])
        self._header, self._claims = dict(found.header), dict(found.claims)

    def another(self, **claims: Any) -> str:
        """A good token that nobody has seen."""
        claims = {**self._claims, "jti": uuid.uuid4().hex, **claims}
        return jwt.encode(self._header, claims, self._key, algorithms=["ES256"])

    def bad(self) -> Iterator[str]:
        """Tokens that nobody has seen, with a signature that is not theirs."""
        head, body, signature = self.another().split(".")
        for number in itertools.count():
            yield f"{head}.{body}.{number:06x}{signature[6:]}"


def bearer(token: str) -> Metadata:
    """The metadata of a call with a token."""
    return (("authorization", f"Bearer {token}"),)


class Question:
    """The call that is measured.

    Args:
        stack: A running Studbook.
        model: The model that is asked for.
    """

    def __init__(self, stack: LocalStack, model: str) -> None:
        self._gateway, self._registry = stack.addresses.gateway, stack.addresses.registry
        self._key = (stack.folder.keys / "gateway.pem").read_bytes()
        self._request = ResolveVersionRequest(model=model).SerializeToString()

    def direct(self) -> Callable[[], object]:
        """Asks the registry, as the gateway does."""
        caller = Caller(
            Principal("user:dev:ada", "user"), {"models.serve": ("workspaces/main/**",)}
        )
        signed = AssertionSigner("gateway", self._key).sign(caller, METHOD, "registry")
        return self._asks(self._registry, itertools.repeat(((METADATA_KEY, signed),)))

    def through(self, token: str) -> Callable[[], object]:
        """Asks the gateway."""
        return self._asks(self._gateway, itertools.repeat(bearer(token)))

    def through_each(self, metadata: Iterator[Metadata]) -> Callable[[], object]:
        """Asks the gateway, each time with other metadata."""
        return self._asks(self._gateway, metadata)

    def _asks(self, address: str, metadata: Iterator[Metadata]) -> Callable[[], object]:
        ask = grpc.insecure_channel(address).unary_unary(METHOD, None, None)
        return lambda: ask(self._request, metadata=next(metadata))

    def flood(self, tokens: Sequence[str]) -> int:
        """Calls a second that are made with bad tokens, at the pace of a flood."""
        return self.rate(map(bearer, itertools.cycle(tokens)), FLOOD_A_SECOND)

    def rate(self, metadata: Iterator[Metadata], pace: float = 0.0) -> int:
        """Calls a second of many callers at once, in this process.

        Args:
            metadata: What each call carries.
            pace: Most calls a second; as many as there can be without.
        """
        return asyncio.run(self._rate(metadata, pace))

    async def _rate(self, metadata: Iterator[Metadata], pace: float) -> int:
        start = time.perf_counter()
        done = 0

        async def repeat(ask: Any) -> None:
            nonlocal done
            while (now := time.perf_counter() - start) < SECONDS:
                if pace and done > now * pace:
                    await asyncio.sleep(done / pace - now)
                done += 1
                with contextlib.suppress(grpc.aio.AioRpcError):
                    await ask(self._request, metadata=next(metadata))

        async with grpc.aio.insecure_channel(self._gateway) as channel:
            ask: Any = channel.unary_unary(METHOD, None, None)
            await asyncio.gather(*(repeat(ask) for _ in range(CALLERS)))
        return round(done / (time.perf_counter() - start))


def rate_beside_flood(question: Question, tokens: Tokens) -> tuple[int, int]:
    """Calls a second of good callers, and of the bad ones that another process makes meanwhile."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as other:
        bad = list(itertools.islice(tokens.bad(), FLOOD_A_SECOND * int(SECONDS + 1)))
        # The process is there before anything is measured.
        other.submit(len, bad).result()
        flood = other.submit(question.flood, bad)
        good = question.rate(itertools.repeat(bearer(tokens.good)))
        return good, flood.result()


def with_many_rules(stack: LocalStack) -> None:
    """Bind each of many groups to a model of its own."""
    rules = yaml.safe_load(stack.folder.access_file.read_text())
    rules["bindings"] += [
        {
            "role": "viewer",
            "members": [f"group:dev:g{number}"],
            "resources": [f"workspaces/main/models/m{number}/**"],
        }
        for number in range(MANY)
    ]
    stack.folder.access_file.write_text(yaml.safe_dump(rules))


def wait_for_many_rules(stack: LocalStack, token: str) -> None:
    """Wait until the rules are in force."""
    with Client(stack.addresses.gateway, token_source=FixedToken(token)) as client:
        while len(client.identity.WhoAmI(WhoAmIRequest()).grants) < GROUPS_OF_A_TOKEN:
            time.sleep(0.05)


def measure(stack: LocalStack) -> dict[str, object]:
    """All figures."""
    question, tokens = Question(stack, Story(stack).model), Tokens(stack)
    direct = latency(question.direct(), CALLS)
    through = latency(question.through(tokens.good), CALLS)
    unseen = [bearer(tokens.another()) for _ in range(COLD_CALLS + 20)]
    cold = latency(question.through_each(iter(unseen)), COLD_CALLS)
    good = question.rate(itertools.repeat(bearer(tokens.good)))
    beside, bad = rate_beside_flood(question, tokens)
    figures: dict[str, object] = {
        "limit: health check": transport_limit(stack.addresses.gateway),
        "limit: a bare hop adds, ms": hop_limit(CALLS),
        "the registry alone": direct,
        "through the gateway": through,
        "the gateway adds, ms": round(through["p50_ms"] - direct["p50_ms"], 3),
        "with a token never seen": cold,
        "a token never seen adds, ms": round(cold["p50_ms"] - through["p50_ms"], 3),
        f"{CALLERS} callers, calls a second": good,
        f"beside {bad} calls with bad tokens a second": beside,
        "share that is left of it": round(beside / good, 2),
    }
    with_many_rules(stack)
    groups = ["data-science", *(f"g{number}" for number in range(GROUPS_OF_A_TOKEN))]
    member_of_many = tokens.another(groups=groups)
    wait_for_many_rules(stack, member_of_many)
    return figures | {
        f"through the gateway, {MANY} more bindings": latency(question.through(tokens.good), CALLS),
        f"the same, {GROUPS_OF_A_TOKEN} groups in the token": latency(
            question.through(member_of_many), CALLS
        ),
        f"the same, {CALLERS} callers, calls a second": question.rate(
            itertools.repeat(bearer(member_of_many))
        ),
    }


def measure_mounted(stack: LocalStack) -> dict[str, object]:
    """The same question where the registry is mounted in the gateway."""
    question, tokens = Question(stack, Story(stack).model), Tokens(stack)
    rate = question.rate(itertools.repeat(bearer(tokens.good)))
    return {
        "mounted": latency(question.through(tokens.good), CALLS),
        f"mounted, {CALLERS} callers, calls a second": rate,
    }


@contextlib.contextmanager
def started(*, separate: bool) -> Iterator[LocalStack]:
    """A Studbook of its own."""
    with (
        tempfile.TemporaryDirectory() as name,
        LocalStack(Path(name), Ports.from_base(0), separate=separate) as stack,
    ):
        yield stack


def main() -> None:
    """Start both, measure, print."""
    with started(separate=True) as stack:
        figures = measure(stack)
    with started(separate=False) as stack:
        figures |= measure_mounted(stack)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
