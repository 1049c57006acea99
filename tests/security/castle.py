"""A Studbook to be attacked: three real processes, and issuers whose keys the attacker's side has.

Its issuers are one for people and one for each CI system, and some that misbehave. All are on
loopback and do what a test tells them.
"""

from __future__ import annotations

import itertools
import json
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import grpc
from google.rpc import error_details_pb2, status_pb2

from local_stack.ports import Ports
from local_stack.stack import LocalStack
from studbook.identity.v1 import identity_service_pb2, identity_service_pb2_grpc
from studbook.registry.v1 import (
    model_service_pb2,
    model_service_pb2_grpc,
    promotion_service_pb2,
    promotion_service_pb2_grpc,
    serving_service_pb2,
    serving_service_pb2_grpc,
    version_pb2,
)
from tests.security import modern_algorithms
from tests.security.broken_issuers import misbehave
from tests.security.rules import ISSUERS, MODERN, access_rules
from tests.security.story import PRODUCTION, STAGED, WINE, make_versions
from tests.unit.gateway.loopback_issuer import LoopbackIssuer, compact, rsa_key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Self

Outcome = tuple[str, str]
DEADLINE_S = 20


def bearer(token: str) -> tuple[str, str]:
    """The metadata entry of a token."""
    return "authorization", f"Bearer {token}"


def outcome(call: Callable[[], object]) -> Outcome:
    """Status and reason of a call; OK and nothing when it is answered."""
    try:
        call()
    except grpc.RpcError as refused:
        error: Any = refused
        trailers = dict(error.trailing_metadata() or ())
        return error.code().name, reason_in(trailers.get("grpc-status-details-bin", b""))
    return "OK", ""


def reason_in(details: bytes) -> str:
    """The reason that the details of a refusal give; empty when there are none."""
    info = error_details_pb2.ErrorInfo()
    unpacked = any(detail.Unpack(info) for detail in status_pb2.Status.FromString(details).details)
    return str(info.reason) if unpacked else ""


class Castle:
    """Started and stopped as a context manager.

    Args:
        folder: Where everything is kept.
    """

    def __init__(self, folder: Path) -> None:
        self._exit = ExitStack()
        self.issuers = {name: LoopbackIssuer() for name in ISSUERS}
        misbehave(self.issuers)
        self.issuers[MODERN].keys = modern_algorithms.key_set()
        folder.mkdir(exist_ok=True)
        urls = {name: issuer.url for name, issuer in self.issuers.items()}
        (folder / "access.yaml").write_text(access_rules(urls))
        self.stack = LocalStack(folder, Ports.from_base(0), separate=True, development=False)
        self._numbers = itertools.count()

    def __enter__(self) -> Self:
        for issuer in self.issuers.values():
            self._exit.enter_context(issuer)
        self._exit.enter_context(self.stack)
        self.channel = self._exit.enter_context(grpc.insecure_channel(self.gateway))
        make_versions(self.gateway, self.person("ada"), self.person("grace"))
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    @property
    def gateway(self) -> str:
        """Address of the gateway."""
        return self.stack.addresses.gateway

    def person(self, sub: str, **claims: Any) -> str:
        """A person's token: ada trains, grace releases, vera only looks, olga administers."""
        groups = {
            "ada": "data-science",
            "grace": "release-managers",
            "vera": "viewers",
            "olga": "administrators",
        }
        # Each has an id of its own, as a token that is revoked or spent is known by it.
        own = {"sub": sub, "groups": [groups.get(sub, "nobody")], "jti": f"p{next(self._numbers)}"}
        return self.issuers["corp"].token(**{**own, **claims})

    def serving(self) -> str:
        """The token of a service that fetches what is in Production."""
        own: dict[str, Any] = {"sub": "serving", "client_id": "serving", "groups": None}
        return self.issuers["corp"].token(**own, jti=f"s{next(self._numbers)}")

    def job(self, system: str, claims: dict[str, Any], **changes: Any) -> str:
        """A job's token as its CI system makes it, with changes; None takes a claim away."""
        now = int(time.time())
        whole = {
            "iss": self.issuers[system].url,
            "aud": "https://studbook.example",
            "sub": "a job",
            "iat": now,
            "exp": now + 300,
            "jti": f"j{next(self._numbers)}",
            **claims,
            **changes,
        }
        whole = {name: value for name, value in whole.items() if value is not None}
        header = {"alg": "RS256", "kid": "rsa", "typ": "JWT"}
        if system == "cluster":
            del header["typ"]
        return compact(header, json.dumps(whole).encode(), rsa_key(), "RS256")

    def exchange(self, token: str, *resources: str) -> str:
        """The token that a job's token is exchanged for."""
        stub = identity_service_pb2_grpc.IdentityServiceStub(self.channel)
        request = identity_service_pb2.ExchangeTokenRequest(resources=resources)
        answer = stub.ExchangeToken(request, metadata=(bearer(token),), timeout=DEADLINE_S)
        return answer.access_token

    def list_models(
        self, *metadata: tuple[str, str | bytes], parent: str = "workspaces/main", address: str = ""
    ) -> object:
        """A call that needs a token and a permission."""
        request = model_service_pb2.ListModelsRequest(parent=parent)
        if not address:
            stub = model_service_pb2_grpc.ModelServiceStub(self.channel)
            return stub.ListModels(request, metadata=metadata, timeout=DEADLINE_S)
        with grpc.insecure_channel(address) as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            return stub.ListModels(request, metadata=metadata, timeout=DEADLINE_S)

    def promote(self, token: str, name: str = STAGED) -> object:
        """Move a version to Production, which is what all of this is about."""
        stub = promotion_service_pb2_grpc.PromotionServiceStub(self.channel)
        request = promotion_service_pb2.TransitionStageRequest(
            name=name, to_stage=version_pb2.STAGE_PRODUCTION, reason="an attack"
        )
        return stub.TransitionStage(request, metadata=(bearer(token),), timeout=DEADLINE_S)

    def check_that_it_stands(self) -> None:
        """Nothing was moved, and good callers are served."""
        stub = serving_service_pb2_grpc.ServingServiceStub(self.channel)
        request = serving_service_pb2.ResolveVersionRequest(model=WINE)
        metadata = (bearer(self.serving()),)
        answer = stub.ResolveVersion(request, metadata=metadata, timeout=DEADLINE_S)
        assert answer.version.name == PRODUCTION
