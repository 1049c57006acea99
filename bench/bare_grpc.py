"""What gRPC itself does at best: calls and streams of bytes, neither looked at nor kept.

Run as a program, it is the server; with the address of another one, a hop before that.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import grpc

from bench.timing import latency
from studbook.bulk_data import PIECE_BYTES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

_SERVICE = "bench.Bare"
_ECHO, _TAKE, _GIVE = f"/{_SERVICE}/Echo", f"/{_SERVICE}/Take", f"/{_SERVICE}/Give"
_OPTIONS = [("grpc.max_receive_message_length", 4 * PIECE_BYTES)]


class _End:
    """Takes bytes and forgets them, gives bytes that mean nothing, or the same back."""

    async def echo(self, request: bytes, _context: Any) -> bytes:
        return request

    async def take(self, requests: AsyncIterator[bytes], _context: Any) -> bytes:
        async for _ in requests:
            pass
        return b""

    async def give(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        piece = bytes(PIECE_BYTES)
        for _ in range(int(request)):
            yield piece


class _Hop:
    """Passes on what comes, both ways."""

    def __init__(self, address: str) -> None:
        channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        # Without types: the published ones make little of calls in the middle of a stream.
        self._echo: Any = channel.unary_unary(_ECHO, None, None)
        self._take: Any = channel.stream_unary(_TAKE, None, None)
        self._give: Any = channel.unary_stream(_GIVE, None, None)

    async def echo(self, request: bytes, _context: Any) -> bytes:
        answer: bytes = await self._echo(request)
        return answer

    async def take(self, requests: AsyncIterator[bytes], _context: Any) -> bytes:
        call = self._take()
        async for request in requests:
            await call.write(request)
        await call.done_writing()
        answer: bytes = await call
        return answer

    async def give(self, request: bytes, _context: Any) -> AsyncIterator[bytes]:
        async for piece in self._give(request):
            yield piece


async def _serve(address: str) -> None:
    answers = _Hop(address) if address else _End()
    server = grpc.aio.server(options=_OPTIONS)
    methods = {
        "Echo": grpc.unary_unary_rpc_method_handler(answers.echo),
        "Take": grpc.stream_unary_rpc_method_handler(answers.take),
        "Give": grpc.unary_stream_rpc_method_handler(answers.give),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, methods),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


@contextmanager
def _server(address: str = "") -> Iterator[str]:
    command = [sys.executable, "-m", "bench.bare_grpc", address]
    with subprocess.Popen(  # noqa: S603 - our own interpreter and module
        command, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            yield f"127.0.0.1:{process.stdout.readline().strip()}"
        finally:
            process.kill()


def hop_limit(calls: int) -> float:
    """Milliseconds that another process between adds to the median of a small call."""
    with _server() as end, _server(end) as hop:
        medians = []
        for address in (end, hop):
            with grpc.insecure_channel(address) as channel:
                echo = channel.unary_unary(_ECHO, None, None)
                medians.append(latency(lambda echo=echo: echo(b"x" * 100), calls)["p50_ms"])  # type: ignore[misc] # told apart by the default
    return round(medians[1] - medians[0], 3)


def stream_limits(mib: int, *, hop: bool) -> tuple[int, int]:
    """MB/s of a client stream and of a server stream, with another process between or not."""
    pieces = mib * 1024 * 1024 // PIECE_BYTES
    with ExitStack() as stack:
        address = stack.enter_context(_server())
        if hop:
            address = stack.enter_context(_server(address))
        channel = stack.enter_context(grpc.insecure_channel(address, options=_OPTIONS))
        piece = bytes(PIECE_BYTES)
        start = time.perf_counter()
        channel.stream_unary(_TAKE, None, None)(iter([piece] * pieces))
        taken = time.perf_counter() - start
        start = time.perf_counter()
        for _ in channel.unary_stream(_GIVE, None, None)(str(pieces).encode()):
            pass
        given = time.perf_counter() - start
    size = pieces * PIECE_BYTES / 1e6
    return round(size / taken), round(size / given)


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1]))
