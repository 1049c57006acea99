"""The services cannot be reached around the gateway, and identity cannot be smuggled through it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2

from service_chassis.assertion import METADATA_KEY, AssertionSigner
from service_chassis.caller import Caller, Principal
from service_chassis.method_access import method_table
from studbook.registry.v1 import model_service_pb2, model_service_pb2_grpc
from studbook.tracking.v1 import run_service_pb2, run_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_stack.stack import LocalStack
    from tests.security.castle import Castle

LIST_MODELS = "/studbook.registry.v1.ModelService/ListModels"
EVERYTHING = Caller(Principal("user:dev:ada", "user"), {"models.read": ("**",)})


@pytest.fixture(scope="session")
def stack(whole_castle: Castle) -> LocalStack:
    """The processes that are attacked."""
    return whole_castle.stack


@pytest.fixture
def tokens(whole_castle: Castle) -> dict[str, str]:
    """Good tokens of two who may do little."""
    return {"ada": whole_castle.person("ada"), "serving": whole_castle.serving()}


def refusal(call: Callable[[], Any]) -> tuple[str, str]:
    """Status code and reason of a call that must fail."""
    with pytest.raises(grpc.RpcError) as refused:
        call()
    error: Any = refused.value
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    return error.code().name, info.reason


def list_models(address: str, *metadata: tuple[str, str]) -> Callable[[], Any]:
    def call() -> Any:
        with grpc.insecure_channel(address) as channel:
            stub = model_service_pb2_grpc.ModelServiceStub(channel)
            request = model_service_pb2.ListModelsRequest(parent="workspaces/main")
            return stub.ListModels(request, metadata=metadata, timeout=10)

    return call


@pytest.mark.parametrize("service", ["tracking", "registry"])
@pytest.mark.parametrize("path", sorted(method_table()))
def test_direct_call_is_refused(stack: LocalStack, service: str, path: str) -> None:
    method = method_table()[path]
    if method.area != service:
        return
    with grpc.insecure_channel(getattr(stack.addresses, service)) as channel:
        arity = "stream" if method.client_streaming else "unary"
        arity += "_stream" if method.server_streaming else "_unary"
        call = getattr(channel, arity)(path)
        request = iter([b""]) if method.client_streaming else b""

        def run() -> Any:
            answer = call(request, timeout=10)
            return list(answer) if method.server_streaming else answer

        assert refusal(run) == ("UNAUTHENTICATED", "ASSERTION_INVALID")


def test_good_token_is_worth_nothing_at_a_service(
    stack: LocalStack, tokens: dict[str, str]
) -> None:
    call = list_models(stack.addresses.registry, ("authorization", f"Bearer {tokens['ada']}"))
    assert refusal(call) == ("UNAUTHENTICATED", "ASSERTION_INVALID")


@pytest.mark.parametrize(
    ("component", "method", "audience"),
    [
        ("gateway", "/studbook.registry.v1.ModelService/GetModel", "registry"),
        ("gateway", LIST_MODELS, "tracking"),
        ("registry", LIST_MODELS, "registry"),
    ],
    ids=["other method", "other service", "from a component that may not call"],
)
def test_assertion_for_something_else(
    stack: LocalStack, component: str, method: str, audience: str
) -> None:
    key = (stack.folder.keys / f"{component}.pem").read_bytes()
    assertion = AssertionSigner(component, key).sign(EVERYTHING, method, audience)
    call = list_models(stack.addresses.registry, (METADATA_KEY, assertion))
    assert refusal(call) == ("UNAUTHENTICATED", "ASSERTION_INVALID")


def test_smuggled_assertion_is_dropped_at_the_gateway(
    stack: LocalStack, tokens: dict[str, str]
) -> None:
    key = (stack.folder.keys / "gateway.pem").read_bytes()
    assertion = AssertionSigner("gateway", key).sign(EVERYTHING, LIST_MODELS, "registry")
    call = list_models(
        stack.addresses.gateway,
        ("authorization", f"Bearer {tokens['serving']}"),
        (METADATA_KEY, assertion),
    )
    assert refusal(call) == ("PERMISSION_DENIED", "PERMISSION_MISSING")


def test_internal_call_is_not_forwarded(stack: LocalStack, tokens: dict[str, str]) -> None:
    def call() -> Any:
        with grpc.insecure_channel(stack.addresses.gateway) as channel:
            stub = run_service_pb2_grpc.RunServiceStub(channel)
            request = run_service_pb2.HoldRunRequest(
                run="workspaces/main/experiments/e/runs/r",
                holder="workspaces/main/models/m/versions/1.0.0",
                level=run_service_pb2.HOLD_LEVEL_RUN,
            )
            metadata = (("authorization", f"Bearer {tokens['ada']}"),)
            return stub.HoldRun(request, metadata=metadata, timeout=10)

    assert refusal(call)[0] == "PERMISSION_DENIED"


def test_unknown_method(stack: LocalStack, tokens: dict[str, str]) -> None:
    def call() -> Any:
        with grpc.insecure_channel(stack.addresses.gateway) as channel:
            unknown = channel.unary_unary(
                "/studbook.registry.v1.ModelService/DropEverything", None, None
            )
            return unknown(
                b"", metadata=(("authorization", f"Bearer {tokens['ada']}"),), timeout=10
            )

    assert refusal(call) == ("UNIMPLEMENTED", "UNKNOWN_METHOD")


def test_reflection_is_off_unless_set(stack: LocalStack) -> None:
    with grpc.insecure_channel(stack.addresses.gateway) as channel:
        path = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"
        with pytest.raises(grpc.RpcError) as refused:
            list(channel.stream_stream(path, None, None)(iter([b""]), timeout=10))
        error: Any = refused.value
        assert error.code() is grpc.StatusCode.UNIMPLEMENTED
