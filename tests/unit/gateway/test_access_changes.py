"""Access rules that change or end do so for callers and streams that were let in before."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from gateway.access_file import Binding, DenialEntry
from gateway.access_rules import AccessRules
from studbook.identity.v1 import identity_service_pb2
from tests.unit.gateway.running_gateway import RUN, Gateway, explanation, refused, through_gateway
from tests.unit.gateway.test_revocation import STREAMS, ending_of

if TYPE_CHECKING:
    from tests.unit.gateway.loopback_issuer import LoopbackIssuer

TEAM = "group:dev:data-science"
GET_RUN = "/studbook.tracking.v1.RunService/GetRun"
WHOAMI = identity_service_pb2.WhoAmIRequest()


def binding(resource: str, role: str = "trainer", **more: Any) -> Binding:
    return Binding.model_validate(
        {"role": role, "members": [TEAM], "resources": [resource], **more}
    )


def denial(resource: str, **more: Any) -> DenialEntry:
    return DenialEntry.model_validate({"members": [TEAM], "resources": [resource], **more})


def put_in_force(gateway: Gateway, *entries: Binding | DenialEntry) -> None:
    """Put rules with these bindings and denials in force."""
    change = {
        "bindings": tuple(entry for entry in entries if isinstance(entry, Binding)),
        "denials": tuple(entry for entry in entries if isinstance(entry, DenialEntry)),
    }
    gateway.rules.current = AccessRules(gateway.rules.current.file.model_copy(update=change))


NARROWED = [
    ((), "PERMISSION_DENIED", "PERMISSION_MISSING"),
    ((binding("workspaces/main/**", "deployer"),), "PERMISSION_DENIED", "PERMISSION_MISSING"),
    ((binding("workspaces/main/experiments/wine/**"),), "UNAVAILABLE", "ACCESS_CHANGED"),
    (
        (binding("workspaces/main/**"), denial("workspaces/main/experiments/beer/**")),
        "UNAVAILABLE",
        "ACCESS_CHANGED",
    ),
    ((binding("workspaces/main/**"), denial("**")), "PERMISSION_DENIED", "PERMISSION_MISSING"),
]


NARROWINGS = ["gone", "role", "less", "denied", "all-denied"]


@STREAMS
@pytest.mark.parametrize(("entries", "code", "reason"), NARROWED, ids=NARROWINGS)
def test_stream_ends_when_its_caller_holds_less(
    http_issuer: LoopbackIssuer, mounted: bool, begin: Any, entries: Any, code: str, reason: str
) -> None:
    async def test(gateway: Gateway) -> None:
        call = await begin(gateway, gateway.login())
        await gateway.seen.began.wait()
        await gateway.turnstile.sweep()
        put_in_force(gateway, *entries)
        await gateway.turnstile.sweep()
        assert await ending_of(call) == (grpc.StatusCode[code], reason)
        await gateway.seen.cancelled.wait()

    through_gateway(http_issuer, test, mounted=mounted)


def begun_call(gateway: Gateway) -> Any:
    """A call without streams whose message is yet to be written."""
    start: Any = gateway.channel.stream_unary(GET_RUN, None, None)
    return start(metadata=gateway.login())


@pytest.mark.parametrize(("entries", "code", "reason"), NARROWED, ids=NARROWINGS)
def test_call_is_not_kept_ready_for_when_it_would_be_refused(
    http_issuer: LoopbackIssuer, mounted: bool, entries: Any, code: str, reason: str
) -> None:
    async def test(gateway: Gateway) -> None:
        call = begun_call(gateway)
        # When this one is answered, the one before is waited for.
        await gateway.get_run()
        await gateway.turnstile.sweep()
        put_in_force(gateway, *entries)
        await gateway.turnstile.sweep()
        error = await refused(call)
        assert (error.code().name, explanation(error).reason) == (code, reason)
        assert len(gateway.seen.callers) == 1

    through_gateway(http_issuer, test, mounted=mounted)


def test_call_that_is_being_answered_goes_on(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    """Ended in the middle, nobody would know whether what it asked for was done."""

    async def test(gateway: Gateway) -> None:
        call = asyncio.ensure_future(gateway.get_run(f"{RUN.rpartition('/')[0]}/slow"))
        await gateway.seen.began.wait()
        put_in_force(gateway)
        await gateway.turnstile.sweep()
        assert not gateway.seen.cancelled.is_set()
        call.cancel()
        await gateway.seen.cancelled.wait()

    through_gateway(http_issuer, test, mounted=mounted)


KEPT = [
    (binding("**"),),
    (binding("workspaces/main/**", "admin"),),
    (binding("workspaces/ma*/**"), binding("workspaces/other/**", "viewer")),
    (binding("workspaces/main/**"), denial("workspaces/main/**", permissions=["models.read"])),
]


@pytest.mark.parametrize("entries", KEPT, ids=["wider", "role", "pattern", "other-permission"])
@STREAMS
def test_stream_goes_on_while_its_caller_holds_as_much(
    http_issuer: LoopbackIssuer, mounted: bool, begin: Any, entries: Any
) -> None:
    async def test(gateway: Gateway) -> None:
        call = await begin(gateway, gateway.login())
        await gateway.seen.began.wait()
        put_in_force(gateway, *entries)
        await gateway.turnstile.sweep()
        assert not call.done()
        put_in_force(gateway)
        await gateway.turnstile.sweep()
        assert await ending_of(call) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING")

    through_gateway(http_issuer, test, mounted=mounted)


def test_stream_ends_when_its_issuer_is_no_longer_believed(
    http_issuer: LoopbackIssuer, mounted: bool
) -> None:
    async def test(gateway: Gateway) -> None:
        call = await begin_download(gateway, gateway.login())
        file = gateway.rules.current.file
        issuer = file.issuers["dev"].model_copy(update={"audience": "somebody-else"})
        gateway.rules.current = AccessRules(file.model_copy(update={"issuers": {"dev": issuer}}))
        await gateway.turnstile.sweep()
        assert await ending_of(call) == (grpc.StatusCode.UNAUTHENTICATED, "AUDIENCE_MISMATCH")

    begin_download = STREAMS.args[1][0]
    through_gateway(http_issuer, test, mounted=mounted)


@STREAMS
def test_binding_ends_at_its_time(http_issuer: LoopbackIssuer, mounted: bool, begin: Any) -> None:
    async def test(gateway: Gateway) -> None:
        until = datetime.fromtimestamp(int(gateway.time.began_s) + 20, UTC)
        put_in_force(gateway, binding("workspaces/main/**", until=until))
        login = gateway.login()
        call = await begin(gateway, login)
        await gateway.seen.began.wait()
        gateway.time.passed_s = until.timestamp() - gateway.time.began_s - 0.1
        await gateway.turnstile.sweep()
        await gateway.get_run(metadata=login)
        (grant,) = (await gateway.identity.WhoAmI(WHOAMI, metadata=login)).grants
        assert grant.expire_time.ToDatetime(UTC) == until
        assert not call.done()
        gateway.time.passed_s += 0.2
        error = await refused(gateway.get_run(metadata=login))
        assert explanation(error).reason == "PERMISSION_MISSING"
        assert not (await gateway.identity.WhoAmI(WHOAMI, metadata=login)).grants
        await gateway.turnstile.sweep()
        assert await ending_of(call) == (grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING")

    through_gateway(http_issuer, test, mounted=mounted)


def test_denial_ends_at_its_time(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        until = datetime.fromtimestamp(int(time.time()) + 20, UTC)
        wine = "workspaces/main/experiments/wine/**"
        put_in_force(gateway, binding("workspaces/main/**"), denial(wine, until=until))
        login = gateway.login()
        error = await refused(gateway.get_run(metadata=login))
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert "a denial in the server's access rules" in str(error.details())
        await gateway.get_run("workspaces/main/experiments/beer/runs/r1", metadata=login)
        who = await gateway.identity.WhoAmI(WHOAMI, metadata=login)
        (told,) = who.denials
        assert (told.member, told.resource) == (TEAM, wine)
        assert "runs.read" in told.permissions
        assert told.expire_time.ToDatetime(UTC) == until
        gateway.time.passed_s = 21
        await gateway.get_run(metadata=login)

    through_gateway(http_issuer, test, mounted=mounted)


def test_caller_whose_groups_are_left_out_is_told_so(
    http_issuer: LoopbackIssuer, mounted: bool
) -> None:
    async def test(gateway: Gateway) -> None:
        login = gateway.login(groups=None, _claim_names={"groups": "src1"})
        error = await refused(gateway.get_run(metadata=login))
        assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
        assert explanation(error).reason == "GROUPS_OMITTED"
        assert "fewer groups into tokens" in str(error.details())
        # Where no rule names a group, none is missing.
        ada = {"role": "viewer", "members": ["user:dev:ada"], "resources": ["**"]}
        put_in_force(gateway, Binding.model_validate(ada))
        await gateway.get_run(metadata=login)
        put_in_force(gateway, Binding.model_validate(ada), denial("workspaces/other/**"))
        error = await refused(gateway.identity.WhoAmI(WHOAMI, metadata=login))
        assert explanation(error).reason == "GROUPS_OMITTED"

    through_gateway(http_issuer, test, mounted=mounted)


def test_patterns_within_others_cost_nothing(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        names = [f"workspaces/main/experiments/{number:04}-wine/**" for number in range(1000)]
        put_in_force(gateway, *map(binding, names), binding("workspaces/main/**"))
        await gateway.get_run(metadata=gateway.login())
        (caller,) = gateway.seen.callers
        assert caller.grants == {"runs.read": ("workspaces/main/**",)}

    through_gateway(http_issuer, test, mounted=mounted)


def test_call_without_a_stream_is_decided_once(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        login = gateway.login()
        going_on = asyncio.ensure_future(gateway.get_run(f"{RUN[:-2]}slow", metadata=login))
        await gateway.seen.began.wait()
        put_in_force(gateway)
        await gateway.turnstile.sweep()
        error = await refused(gateway.get_run(metadata=login))
        assert explanation(error).reason == "PERMISSION_MISSING"
        assert not going_on.done()
        assert not gateway.seen.cancelled.is_set()
        going_on.cancel()
        await gateway.seen.cancelled.wait()

    through_gateway(http_issuer, test, mounted=mounted)
