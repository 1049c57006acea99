"""What is turned away at the door, and what may pass it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest

from gateway.access_file import Binding
from service_chassis.assertion import METADATA_KEY, AssertionSigner
from service_chassis.caller import Caller, Principal
from studbook.tracking.v1 import artifact_service_pb2, run_service_pb2
from tests.unit.gateway.running_gateway import (
    HEADER,
    KEY,
    MESSAGE_BYTES,
    RUN,
    Gateway,
    all_of,
    batch,
    chunk,
    explanation,
    refused,
    through_gateway,
)

if TYPE_CHECKING:
    from tests.unit.gateway.loopback_issuer import LoopbackIssuer


def test_client_cannot_speak_in_the_gateways_name(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        sent = (
            *gateway.login(),
            (METADATA_KEY, "forged"),
            ("studbook-principal", "user:dev:admin"),
            ("studbook-client", "python/1.0"),
            ("studbook-client", "second"),
            ("traceparent", "00-1-2-01"),
            ("tracestate", "x" * 600),
            ("x-request-id", "mine-1"),
            ("x-forwarded-for", "10.0.0.1"),
            ("cookie", "a=b"),
            ("x-data-bin", b"\x00"),
        )
        await gateway.get_run(metadata=sent)
        entries = gateway.seen.metadata[0]
        (assertion,) = entries.pop(METADATA_KEY)
        assert assertion.count(".") == 2
        entries.pop("user-agent")
        assert entries == {
            "studbook-client": ["python/1.0"],
            "traceparent": ["00-1-2-01"],
            "x-request-id": ["mine-1"],
        }

    through_gateway(http_issuer, test)


@pytest.mark.parametrize("given", ["", "two words", "x" * 65, "a/b"])
def test_request_id_is_replaced_when_it_is_none(http_issuer: LoopbackIssuer, given: str) -> None:
    async def test(gateway: Gateway) -> None:
        await gateway.get_run(metadata=(*gateway.login(), ("x-request-id", given)))
        (made,) = gateway.seen.metadata[0]["x-request-id"]
        assert len(made) == 32

    through_gateway(http_issuer, test)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ((), "TOKEN_MISSING"),
        ((("authorization", "Bearer "),), "TOKEN_MISSING"),
        ((("authorization", "Bearer garbage"),), "TOKEN_INVALID"),
        ((("authorization", "Basic YTpi"),), "TOKEN_INVALID"),
    ],
)
def test_calls_without_a_good_token_are_refused(
    http_issuer: LoopbackIssuer, sent: Any, reason: str, mounted: bool
) -> None:
    async def test(gateway: Gateway) -> None:
        calls = (
            gateway.get_run(metadata=sent),
            gateway.artifacts.Upload(all_of([HEADER]), metadata=sent),
            gateway.artifacts.Download(
                artifact_service_pb2.DownloadRequest(run=RUN), metadata=sent
            ).read(),
            gateway.metrics.StreamMetrics(all_of([batch(1)]), metadata=sent).read(),
        )
        for call in calls:
            error = await refused(call)
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
            assert explanation(error).reason == reason
        assert gateway.seen.metadata == []

    through_gateway(http_issuer, test, mounted=mounted)


def test_two_tokens_are_one_too_many(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        error = await refused(gateway.get_run(metadata=gateway.login() * 2))
        assert explanation(error).reason == "TOKEN_INVALID"

    through_gateway(http_issuer, test, mounted=mounted)


def test_permission_is_needed_somewhere(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        error = await refused(gateway.get_run(metadata=gateway.login(sub="max", groups=[])))
        info = explanation(error)
        assert (error.code(), info.reason) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "PERMISSION_MISSING",
        )
        assert info.metadata["permission"] == "runs.read"
        assert info.metadata["principal"] == "user:dev:max"
        assert "viewer" in info.metadata["roles"]
        assert gateway.seen.metadata == []

    through_gateway(http_issuer, test, mounted=mounted)


def test_service_decides_on_the_resource(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        error = await refused(gateway.get_run("workspaces/other/experiments/e/runs/r"))
        assert explanation(error).metadata["resource"].startswith("workspaces/other/")

    through_gateway(http_issuer, test, mounted=mounted)


def test_internal_methods_are_not_passed_on(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        internal = gateway.runs.HoldRun(
            run_service_pb2.HoldRunRequest(run=RUN), metadata=gateway.login()
        )
        error = await refused(internal)
        assert error.code() is grpc.StatusCode.PERMISSION_DENIED
        assert explanation(error).metadata["permission"] == "runs.hold"

    through_gateway(http_issuer, test, mounted=mounted)


@pytest.mark.parametrize("path", ["/studbook.tracking.v1.RunService/Nope", "/x/y", "/x"])
def test_unknown_methods(http_issuer: LoopbackIssuer, path: str, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        for call in (gateway.channel.unary_unary(path), gateway.channel.stream_unary(path)):  # type: ignore[call-arg]
            argument: Any = b"" if "UnaryUnary" in type(call).__name__ else all_of([b""])
            error = await refused(call(argument))
            assert error.code() is grpc.StatusCode.UNIMPLEMENTED
            info = explanation(error)
            assert (info.reason, info.metadata["method"]) == ("UNKNOWN_METHOD", path)

    through_gateway(http_issuer, test, mounted=mounted)


def test_messages_beyond_the_limit_are_refused(http_issuer: LoopbackIssuer, mounted: bool) -> None:
    async def test(gateway: Gateway) -> None:
        large = chunk(bytes(MESSAGE_BYTES))
        calls = (
            gateway.get_run("x" * (MESSAGE_BYTES + 1)),
            gateway.artifacts.Upload(all_of([HEADER, large]), metadata=gateway.login()),
            gateway.metrics.StreamMetrics(
                all_of([batch(1, "x" * 300_000)]),
                metadata=gateway.login(),
            ).read(),
        )
        for call in calls:
            error = await refused(call)
            info = explanation(error)
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert info.reason == "MESSAGE_TOO_LARGE"
            assert info.metadata["limit_bytes"] == str(MESSAGE_BYTES)

    through_gateway(http_issuer, test, mounted=mounted)


def test_assertion_is_reused_until_rules_change(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        login = gateway.login()
        for _ in range(2):
            await gateway.get_run(metadata=login)
        first, second = (entry[METADATA_KEY] for entry in gateway.seen.metadata)
        assert first == second
        file = gateway.rules.current.file
        gateway.rules.current = type(gateway.rules.current)(
            file.model_copy(update={"bindings": ()})
        )
        error = await refused(gateway.get_run(metadata=login))
        assert explanation(error).reason == "PERMISSION_MISSING"

    through_gateway(http_issuer, test)


@pytest.mark.parametrize(("patterns", "reason"), [(1000, ""), (4000, "GROUPS_TOO_MANY")])
def test_callers_may_be_bound_to_very_many_patterns(
    http_issuer: LoopbackIssuer, patterns: int, reason: str
) -> None:
    async def test(gateway: Gateway) -> None:
        file = gateway.rules.current.file
        many = Binding(
            role="viewer",
            members=("group:dev:data-science",),
            resources=tuple(
                f"workspaces/other/experiments/experiment-{n:04}/**" for n in range(patterns)
            ),
        )
        gateway.rules.current = type(gateway.rules.current)(
            file.model_copy(update={"bindings": (*file.bindings, many)})
        )
        if not reason:
            await gateway.get_run(metadata=gateway.login())
            return
        error = await refused(gateway.get_run(metadata=gateway.login()))
        info = explanation(error)
        assert (error.code(), info.reason) == (grpc.StatusCode.FAILED_PRECONDITION, reason)
        assert int(info.metadata["grants"]) >= patterns

    through_gateway(http_issuer, test)


def test_note_of_a_client_is_worth_nothing_to_a_mounted_service(
    http_issuer: LoopbackIssuer,
) -> None:
    async def test(gateway: Gateway) -> None:
        caller = Caller(Principal("user:dev:admin", "user"), {"runs.read": ("**",)})
        signer = AssertionSigner("gateway", KEY.as_pem(private=True))
        path = "/studbook.tracking.v1.RunService/GetRun"
        note = ((METADATA_KEY, signer.sign(caller, path, "tracking")),)
        error = await refused(gateway.get_run(metadata=note))
        assert explanation(error).reason == "TOKEN_MISSING"
        await gateway.get_run(metadata=(*gateway.login(), *note))
        assert [seen.principal.id for seen in gateway.seen.callers] == ["user:dev:ada"]

    through_gateway(http_issuer, test, mounted=True)
