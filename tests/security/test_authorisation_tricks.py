"""People with a permission here try to have it there: other names, other ways, other times."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from studbook.registry.v1 import (
    model_pb2,
    model_service_pb2,
    model_service_pb2_grpc,
    promotion_service_pb2,
    promotion_service_pb2_grpc,
    serving_service_pb2,
    serving_service_pb2_grpc,
    version_pb2,
)
from studbook.tracking.v1 import run_service_pb2, run_service_pb2_grpc
from tests.security.castle import DEADLINE_S, bearer, outcome
from tests.security.story import PRODUCTION, RUN, SECRET, STAGED, WINE

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.security.castle import Castle, Outcome

DENIED = ("PERMISSION_DENIED", "PERMISSION_MISSING")
NO_NAME = ("INVALID_ARGUMENT", "RESOURCE_NAME_INVALID")

# Names of `secret`, and of all, for somebody who may read `wine-*`.
NAMES = {
    "its own": SECRET,
    "climbing": f"{WINE}/../secret",
    "climbing by escapes": f"{WINE}/%2e%2e/secret",
    "climbing by an escaped slash": f"{WINE}/..%2Fsecret",
    "climbing with a backslash": f"{WINE}\\..\\secret",
    "climbing within the id": "workspaces/main/models/wine-/../secret",
    "an escaped slash": "workspaces/main/models/wine-%2F..%2Fsecret",
    "a slash that only looks like one": "workspaces/main/models/wine-\u2215..\u2215secret",
    "slash at the end": f"{SECRET}/",
    "double slash": "workspaces/main/models//secret",
    "slash at the beginning": f"/{SECRET}",
    "dot segment": "workspaces/main/models/./secret",
    "null behind": f"{SECRET}\0",
    "null and an allowed name": f"{SECRET}\0{WINE}",
    "line end and an allowed name": f"{SECRET}\n{WINE}",
    "allowed name and line end": f"{WINE}\n",
    "space": f"{SECRET} ",
    "in capitals": SECRET.upper(),
    "with a homoglyph": SECRET.replace("e", "\u0435"),
    "full-width": SECRET.replace("s", "\uff53"),
    "query": f"{SECRET}?x={WINE}",
    "fragment": f"{SECRET}#{WINE}",
    "star": "workspaces/main/models/*",
    "stars": "workspaces/main/models/**",
    "dash": "workspaces/main/models/-",
    "own pattern": "workspaces/main/models/wine-*",
    "another workspace": "workspaces/other/models/wine-cultivar",
    "every workspace": "workspaces/-/models/wine-cultivar",
    "with the host": f"//studbook.example/{SECRET}",
    "very long": "workspaces/main/models/wine-" + "a" * 100_000,
}
# What begins as an allowed name is no name in the end; everything else is denied before it is read.
_BEGIN_ALLOWED = {
    "climbing", "climbing by escapes", "climbing by an escaped slash", "climbing with a backslash",
    "climbing within the id", "an escaped slash", "a slash that only looks like one",
    "allowed name and line end", "own pattern", "very long",
}  # fmt: skip


def get_model(castle: Castle, token: str, name: str) -> Any:
    stub = model_service_pb2_grpc.ModelServiceStub(castle.channel)
    request = model_service_pb2.GetModelRequest(name=name)
    return stub.GetModel(request, metadata=(bearer(token),), timeout=DEADLINE_S)


@pytest.mark.parametrize("name", NAMES)
def test_other_names(castle: Castle, name: str) -> None:
    rosa = castle.person("rosa")
    told = outcome(lambda: get_model(castle, rosa, NAMES[name]))
    assert told == (NO_NAME if name in _BEGIN_ALLOWED else DENIED)
    assert outcome(lambda: get_model(castle, rosa, WINE)) == ("OK", "")


def test_what_is_there_is_refused_like_what_is_not(castle: Castle) -> None:
    rosa = castle.person("rosa")
    said = set()
    for name in (SECRET, "workspaces/main/models/nobody"):
        with pytest.raises(grpc.RpcError) as refused:
            get_model(castle, rosa, name)
        error: Any = refused.value
        said.add((error.code(), error.details().replace(name, "")))
    assert len(said) == 1


def list_models(castle: Castle, token: str, **fields: Any) -> Any:
    stub = model_service_pb2_grpc.ModelServiceStub(castle.channel)
    request = model_service_pb2.ListModelsRequest(parent="workspaces/main", **fields)
    return stub.ListModels(request, metadata=(bearer(token),), timeout=DEADLINE_S)


LISTS: dict[str, dict[str, Any]] = {
    "all": {},
    "one on a page": {"page_size": 1},
    "by name downwards": {"order_by": "name desc"},
    "filtered for it": {"filter": 'name = "*secret*"'},
    "filtered for all but ours": {"filter": "NOT name:wine"},
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_hold_what_may_be_read(castle: Castle, name: str) -> None:
    found = models_seen(castle, castle.person("rosa"), **LISTS[name])
    assert found == ([] if "filtered" in name else [WINE])


def models_seen(castle: Castle, token: str, **fields: Any) -> list[str]:
    """The models of all pages."""
    seen: list[str] = []
    while True:
        answer = list_models(castle, token, **fields)
        seen += [model.name for model in answer.models]
        fields["page_token"] = answer.next_page_token
        if not answer.next_page_token:
            return seen


def test_page_of_somebody_who_sees_more(castle: Castle) -> None:
    olgas = list_models(castle, castle.person("olga"), page_size=1).next_page_token
    assert olgas
    found = models_seen(castle, castle.person("rosa"), page_size=1, page_token=olgas)
    assert set(found) <= {WINE}


def version_stub(castle: Castle) -> Any:
    return model_service_pb2_grpc.ModelServiceStub(castle.channel)


@pytest.mark.parametrize("path", ["stage", "*", "digest", "name", "uid", "files", "state"])
def test_update_mask_that_touches_more(castle: Castle, path: str) -> None:
    """Who may write a version's words may not move it, nor change what it is."""
    version = version_pb2.Version(
        name=STAGED, stage=version_pb2.STAGE_PRODUCTION, description="an attack"
    )
    request = model_service_pb2.UpdateVersionRequest(
        version=version, update_mask=FieldMask(paths=[path])
    )
    metadata = (bearer(castle.person("ada")),)
    stub = version_stub(castle)
    told = outcome(lambda: stub.UpdateVersion(request, metadata=metadata, timeout=DEADLINE_S))
    # With a star, what only the server sets is passed over.
    assert told == (("OK", "") if path == "*" else ("INVALID_ARGUMENT", "UPDATE_MASK_INVALID"))
    found = stub.GetVersion(
        model_service_pb2.GetVersionRequest(name=STAGED), metadata=metadata, timeout=DEADLINE_S
    ).version
    assert found.stage != version_pb2.STAGE_PRODUCTION


def test_update_in_the_name_of_another_model(castle: Castle) -> None:
    """The name that is checked is the name that is changed."""
    request = model_service_pb2.UpdateModelRequest(
        model=model_pb2.Model(name=SECRET, description="an attack")
    )
    metadata = (bearer(castle.person("rosa")),)
    stub = version_stub(castle)
    assert (
        outcome(lambda: stub.UpdateModel(request, metadata=metadata, timeout=DEADLINE_S)) == DENIED
    )


def transition(castle: Castle, who: str, **fields: Any) -> Callable[[], object]:
    stub = promotion_service_pb2_grpc.PromotionServiceStub(castle.channel)
    wanted = {"name": STAGED, "to_stage": version_pb2.STAGE_PRODUCTION, "reason": "an attack"}
    request = promotion_service_pb2.TransitionStageRequest(**{**wanted, **fields})
    metadata = (bearer(castle.person(who)),)
    return lambda: stub.TransitionStage(request, metadata=metadata, timeout=DEADLINE_S)


@pytest.mark.parametrize("who", ["ada", "vera", "rosa", "eve"])
@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"validate_only": True},
        {"name": PRODUCTION, "to_stage": version_pb2.STAGE_ARCHIVED},
        {"name": PRODUCTION, "to_stage": version_pb2.STAGE_STAGING},
    ],
    ids=["into Production", "into Production, to see", "out of it", "back to Staging"],
)
def test_transition_by_who_may_not(castle: Castle, who: str, fields: dict[str, Any]) -> None:
    assert outcome(transition(castle, who, **fields)) == DENIED


def test_rollback_by_who_may_not(castle: Castle) -> None:
    stub = promotion_service_pb2_grpc.PromotionServiceStub(castle.channel)
    request = promotion_service_pb2.RollbackRequest(name=WINE, reason="an attack")
    metadata = (bearer(castle.person("ada")),)
    assert outcome(lambda: stub.Rollback(request, metadata=metadata, timeout=DEADLINE_S)) == DENIED


def test_many_at_once_get_no_further_than_one(castle: Castle) -> None:
    calls = [transition(castle, "ada") for _ in range(16)]
    with ThreadPoolExecutor(16) as pool:
        assert set(pool.map(outcome, calls)) == {DENIED}


def test_comparison_of_what_one_may_with_what_one_may_not(castle: Castle) -> None:
    """A batch is answered when all of it may be, and not in part."""
    stub = run_service_pb2_grpc.RunServiceStub(castle.channel)
    request = run_service_pb2.CompareRunsRequest(
        runs=[RUN, "workspaces/other/experiments/wine/runs/one"]
    )
    metadata = (bearer(castle.person("vera")),)
    told = outcome(lambda: stub.CompareRuns(request, metadata=metadata, timeout=DEADLINE_S))
    assert told == DENIED


def test_deployer_fetches_what_is_in_production_alone(castle: Castle) -> None:
    stub = serving_service_pb2_grpc.ServingServiceStub(castle.channel)
    metadata = (bearer(castle.serving()),)

    def fetch(version: str) -> Outcome:
        request = serving_service_pb2.FetchArtifactsRequest(version=version)
        call = stub.FetchArtifacts(request, metadata=metadata, timeout=DEADLINE_S)
        return outcome(lambda: list(call))

    assert fetch(PRODUCTION) == ("OK", "")
    for version in (STAGED, f"{SECRET}/versions/1.0.0"):
        assert fetch(version) == DENIED
    assert fetch(f"{WINE}/versions/-") == ("INVALID_ARGUMENT", "VERSION_INVALID")


def test_tokens_changed_at_random(castle: Castle) -> None:
    """Of any one letter: none is let in, none is a defect, and the good one goes on being good."""
    good = castle.person("grace")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=~ "
    chosen = random.Random(good)  # noqa: S311 - no secret
    lock, told = threading.Lock(), set()

    def attempt(_: int) -> None:
        at = chosen.randrange(len(good))
        other = chosen.choice(alphabet.replace(good[at], ""))
        changed = (good[:at] + other + good[at + 1 :]).strip()
        result = outcome(lambda: castle.list_models(bearer(changed)))
        with lock:
            told.add(result)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(attempt, range(300)))
    reasons = {"TOKEN_INVALID", "ISSUER_UNKNOWN"}
    assert {status for status, _ in told} == {"UNAUTHENTICATED"}
    assert {reason for _, reason in told} <= reasons
    assert outcome(lambda: castle.list_models(bearer(good))) == ("OK", "")
