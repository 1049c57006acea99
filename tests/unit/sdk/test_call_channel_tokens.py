"""With which token each kind of call is made."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc
import pytest

from studbook.call_channel import CallChannel

if TYPE_CHECKING:
    from collections.abc import Iterator


class Source:
    """Has one token for calls that are over soon, and another for those that last."""

    def token(self) -> str:
        return "short"

    def lasting_token(self) -> str:
        return "lasting"


class Plain:
    """A source as programs may have written one."""

    def token(self) -> str:
        return "plain"


def one(_request: object, context: grpc.ServicerContext) -> bytes:
    """Answers with the token that came with the call."""
    return str(dict(context.invocation_metadata())["authorization"]).encode()


def several(request: object, context: grpc.ServicerContext) -> Iterator[bytes]:
    yield one(request, context)


HANDLERS = {
    "unary_unary": grpc.unary_unary_rpc_method_handler(one),
    "unary_stream": grpc.unary_stream_rpc_method_handler(several),
    "stream_unary": grpc.stream_unary_rpc_method_handler(one),
    "stream_stream": grpc.stream_stream_rpc_method_handler(several),
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    handler = grpc.method_handlers_generic_handler("echo", HANDLERS)
    served = grpc.server(ThreadPoolExecutor(2), handlers=[handler])
    port = served.add_insecure_port("127.0.0.1:0")
    served.start()
    yield f"127.0.0.1:{port}"
    served.stop(None).wait()


@pytest.mark.parametrize(
    ("source", "kind", "token"),
    [
        (Source(), "unary_unary", "short"),
        (Source(), "unary_stream", "lasting"),
        (Source(), "stream_unary", "lasting"),
        (Source(), "stream_stream", "lasting"),
        (Plain(), "unary_unary", "plain"),
        (Plain(), "unary_stream", "plain"),
    ],
)
def test_streams_begin_with_a_token_that_lasts(
    server: str, source: Source | Plain, kind: str, token: str
) -> None:
    with CallChannel(
        grpc.insecure_channel(server), address=server, token_source=source, client_name="test"
    ) as channel:
        call = getattr(channel, kind)(f"/echo/{kind}")
        answer = call(iter([b"x"]) if kind.startswith("stream") else b"x", timeout=20)
        heard = list(answer) if kind.endswith("stream") else [answer]

    assert heard == [f"Bearer {token}".encode()]
