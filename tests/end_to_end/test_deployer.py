"""Whoever deploys gets what is in Production and its files, and nothing else by any way."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from service_chassis.method_access import method_table
from studbook.exceptions import PermissionDenied
from studbook.identity.v1 import identity_service_pb2
from studbook.registry.v1 import alias_service_pb2, serving_service_pb2, version_pb2
from studbook.registry.v1.watch_service_pb2 import WatchVersionsRequest
from studbook.tracking.v1 import artifact_service_pb2
from tests.end_to_end import story

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_stack.stack import LocalStack
    from studbook.registry.v1.watch_service_pb2 import WatchVersionsResponse
    from tests.end_to_end.conftest import Everyone

METHODS = {
    path: method
    for path, method in method_table().items()
    if method.area in {"tracking", "registry"}
}
# What a deployer may call at all: to find, fetch, report and watch, and to read the public keys.
OPEN = {
    "/studbook.registry.v1.ServingService/ResolveVersion",
    "/studbook.registry.v1.ServingService/FetchArtifacts",
    "/studbook.registry.v1.ServingService/ReportLoaded",
    "/studbook.registry.v1.WatchService/WatchVersions",
    "/studbook.registry.v1.LedgerService/GetLedgerKeys",
}


@dataclass(frozen=True)
class Served:
    """A model with a version in each stage, and the run that all but the first two come of."""

    model: str
    was: str
    production: str
    staging: str
    new: str
    run: story.Trained


@pytest.fixture(scope="module")
def served(everyone: Everyone) -> Served:
    name = f"served-{uuid.uuid4().hex[:12]}"
    experiment = story.create_experiment(everyone.ada, name)
    model = story.create_model(everyone.ada, name)
    old, new = (story.train(everyone.ada, experiment, seed) for seed in (1, 2))
    was, production, staging, fresh = [
        story.register(everyone.ada, model, number, run.run).name
        for number, run in (("1.0.0", old), ("1.1.0", old), ("1.2.0", new), ("1.3.0", new))
    ]
    for version in (was, production):
        story.promote(everyone.release, version)
    story.promote(everyone.ada, staging, version_pb2.STAGE_STAGING)
    alias = alias_service_pb2.SetAliasRequest(name=f"{model}/aliases/next", version=staging)
    everyone.ada.aliases.SetAlias(alias)
    return Served(model, was, production, staging, fresh, new)


def test_every_other_method_is_closed(stack: LocalStack, tokens: dict[str, str]) -> None:
    metadata = (("authorization", f"Bearer {tokens['serving']}"),)
    answered = set()
    with grpc.insecure_channel(stack.addresses.gateway) as channel:
        for path, method in METHODS.items():
            kinds = ("unary", "stream")
            kind = f"{kinds[method.client_streaming]}_{kinds[method.server_streaming]}"
            start = getattr(channel, kind)(path)
            message: Any = iter([b""]) if method.client_streaming else b""
            try:
                answer = start(message, metadata=metadata, timeout=30)
                list(answer) if method.server_streaming else None
            except grpc.RpcError as error:
                if error.code() is grpc.StatusCode.PERMISSION_DENIED:
                    continue
            answered.add(path)
    assert answered == OPEN


def test_production_is_served(everyone: Everyone, served: Served) -> None:
    assert story.in_production(everyone.serving, served.model).version.name == served.production
    assert set(story.fetch(everyone.serving, served.production)) == {"model.bin"}
    ask = serving_service_pb2.ResolveVersionRequest
    for found in (ask(model=served.model, version="1.1.0"), ask(model=served.model, range="~1.1")):
        assert everyone.serving.serving.ResolveVersion(found).version.name == served.production


def resolving(**fields: Any) -> Callable[[Everyone, Served], object]:
    def ask(everyone: Everyone, served: Served) -> object:
        request = serving_service_pb2.ResolveVersionRequest(model=served.model, **fields)
        return everyone.serving.serving.ResolveVersion(request)

    return ask


def fetching(version: str, **fields: Any) -> Callable[[Everyone, Served], object]:
    def fetch(everyone: Everyone, served: Served) -> object:
        name = version.format(**vars(served))
        request = serving_service_pb2.FetchArtifactsRequest(version=name, **fields)
        return list(everyone.serving.serving.FetchArtifacts(request))

    return fetch


def by_digest(everyone: Everyone, served: Served) -> object:
    """Ask for bytes by their digest, as if to upload them."""
    digest = story.digest_of(served.run.model_bytes)
    request = artifact_service_pb2.FindMissingRequest(run=served.run.run, digests=[digest])
    return everyone.serving.artifacts.FindMissing(request)


def by_run(everyone: Everyone, served: Served) -> object:
    request = artifact_service_pb2.DownloadRequest(run=served.run.run, path="model/model.bin")
    return list(everyone.serving.artifacts.Download(request))


def reporting(everyone: Everyone, served: Served) -> object:
    """Report a version to learn whether its digest is the one that was guessed."""
    request = serving_service_pb2.ReportLoadedRequest(
        version=served.staging, digest=story.digest_of(b"x"), instance="i"
    )
    return everyone.serving.serving.ReportLoaded(request)


def watching(**fields: Any) -> Callable[[Everyone, Served], object]:
    def watch(everyone: Everyone, served: Served) -> object:
        request = WatchVersionsRequest(
            parent=story.WORKSPACE, models=served.model.rsplit("/", 1)[1], **fields
        )
        for message in everyone.serving.watches.WatchVersions(request, timeout=20):
            return message
        return None

    return watch


REFUSED = {
    "staging": resolving(stage=version_pb2.STAGE_STAGING),
    "archived": resolving(stage=version_pb2.STAGE_ARCHIVED),
    "none": resolving(stage=version_pb2.STAGE_NONE),
    "number-was": resolving(version="1.0.0"),
    "number-staging": resolving(version="1.2.0"),
    "number-unknown": resolving(version="9.9.9"),
    "alias": resolving(alias="next"),
    "alias-unknown": resolving(alias="other"),
    "previous": resolving(alias="previous"),
    "range": resolving(range=">=1.1.1"),
    "range-empty": resolving(range=">=7"),
    "past": resolving(at={"seconds": 1}),
    "fetch-was": fetching("{was}"),
    "fetch-staging": fetching("{staging}"),
    "fetch-new": fetching("{new}", paths=["model.bin"]),
    "fetch-unknown": fetching("{model}/versions/9.9.9"),
    "by-digest": by_digest,
    "by-run": by_run,
    "report": reporting,
    "watch-staging": watching(stages=[version_pb2.STAGE_STAGING]),
    "watch-alias": watching(aliases=["*"]),
}


@pytest.mark.parametrize("ask", REFUSED.values(), ids=REFUSED)
def test_nothing_else_is_served(everyone: Everyone, served: Served, ask: Any) -> None:
    with pytest.raises(PermissionDenied) as caught:
        ask(everyone, served)
    assert caught.value.reason == "PERMISSION_MISSING"


@pytest.mark.parametrize(
    "fields", [{}, {"stages": [version_pb2.STAGE_STAGING]}, {"aliases": ["*"]}], ids=str
)
def test_watch_of_all_models_shows_production_only(
    everyone: Everyone, served: Served, fields: dict[str, Any]
) -> None:
    request = WatchVersionsRequest(parent=story.WORKSPACE, **fields)
    seen: list[Any] = []
    watch: Any = everyone.serving.watches.WatchVersions(request, timeout=20)
    answer: WatchVersionsResponse
    for answer in watch:
        seen += [*answer.state.versions, *answer.state.aliases]
        if answer.state.complete:
            break
    watch.cancel()
    versions = {standing.version for standing in seen}
    assert versions.isdisjoint({served.was, served.staging, served.new})
    assert (served.production in versions) is (not fields)


def test_deployer_learns_who_it_is(everyone: Everyone, served: Served) -> None:
    (grant,) = everyone.serving.identity.WhoAmI(identity_service_pb2.WhoAmIRequest()).grants
    assert list(grant.permissions) == ["models.serve"]
    asked = identity_service_pb2.TestAccessRequest(
        permission="models.promote", resource=served.model, members=["user:dev:ada"]
    )
    with pytest.raises(PermissionDenied):
        everyone.serving.identity.TestAccess(asked)
