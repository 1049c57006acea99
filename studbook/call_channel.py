"""A gRPC channel on which the generated stubs behave like ordinary Python.

Every call carries the caller's token and a deadline, calls that may safely be repeated are
repeated while the server is unavailable, those that came too fast are made again when there is
room for them, and failures are `studbook.exceptions`.
"""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, Self

import grpc
from google.protobuf import descriptor_pool
from google.protobuf.descriptor_pb2 import MethodOptions

from studbook.credentials import LastingTokenSource
from studbook.exceptions import StudbookError, Unauthenticated, Unavailable, from_rpc_error
from studbook.fork_gate import calling

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from studbook.credentials import TokenSource

DEFAULT_DEADLINE_S = 30.0
# Waits between attempts: long enough for a server to restart, short enough for a person to wait.
_BACK_OFF_S = (0.1, 0.3, 0.8, 1.6)

CallMetadata = tuple[tuple[str, str], ...]


def may_repeat(path: str, request: object) -> bool:
    """Whether a second call cannot do anything that the first has not done.

    True for RPCs that the contract calls idempotent, and for requests with a `request_id`.
    """
    if getattr(request, "request_id", ""):
        return True
    name = path.strip("/").replace("/", ".")
    try:
        method = descriptor_pool.Default().FindMethodByName(name)
    except KeyError:
        return False
    level = method.GetOptions().idempotency_level
    return level != MethodOptions.IDEMPOTENCY_UNKNOWN


class CallChannel(grpc.Channel):
    """Wraps a channel; see the module's description.

    Args:
        channel: The channel that does the work. Closed with this one.
        address: Whom it leads to, for messages.
        token_source: Where tokens come from; asked before every call.
        client_name: Sent as `studbook-client`.
    """

    def __init__(
        self,
        channel: grpc.Channel,
        *,
        address: str,
        token_source: TokenSource,
        client_name: str,
    ) -> None:
        self._channel = channel
        self._address = address
        self._token_source = token_source
        self._lasting_token = token_source.token
        if isinstance(token_source, LastingTokenSource):
            self._lasting_token = token_source.lasting_token
        self._client_name = client_name

    def call_metadata(self, *, lasting: bool = False) -> CallMetadata:
        """What every call carries besides its request.

        Args:
            lasting: For a stream, which the server ends together with its token: one that is good
                for long, if it can be had.
        """
        token = self._lasting_token() if lasting else self._token_source.token()
        client = ("studbook-client", self._client_name)
        return (client, ("authorization", f"Bearer {token}")) if token else (client,)

    def error(self, error: grpc.RpcError) -> StudbookError:
        """The error that a caller sees for one of grpc."""
        return from_rpc_error(error, address=self._address)

    def unary_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        """One request, one answer."""
        return _UnaryCall(self, method, self._channel.unary_unary(method, *arguments, **options))

    def unary_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        """One request, a stream of answers."""
        return _StreamedAnswer(self, self._channel.unary_stream(method, *arguments, **options))

    def stream_unary(self, method: str, *arguments: Any, **options: Any) -> Any:
        """A stream of requests, one answer."""
        return _StreamedRequest(self, self._channel.stream_unary(method, *arguments, **options))

    def stream_stream(self, method: str, *arguments: Any, **options: Any) -> Any:
        """A stream each way."""
        return _StreamedAnswer(self, self._channel.stream_stream(method, *arguments, **options))

    def subscribe(
        self,
        callback: Callable[[grpc.ChannelConnectivity], None],
        try_to_connect: bool = False,  # noqa: FBT001, FBT002 - grpc's signature
    ) -> None:
        """Be told of the connection's state."""
        self._channel.subscribe(callback, try_to_connect)

    def unsubscribe(self, callback: Callable[[grpc.ChannelConnectivity], None]) -> None:
        """No longer be told."""
        self._channel.unsubscribe(callback)

    def close(self) -> None:
        """Close the connection; calls under way end as cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _UnaryCall:
    def __init__(self, channel: CallChannel, path: str, call: Any) -> None:
        self._channel = channel
        self._path = path
        self._call = call

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str]] = (),
        **options: Any,
    ) -> Any:
        deadline = time.monotonic() + (DEFAULT_DEADLINE_S if timeout is None else timeout)
        waits = list(_BACK_OFF_S) if may_repeat(self._path, request) else []
        while True:
            sent = self._channel.call_metadata()
            try:
                with calling():
                    return self._call(
                        request,
                        timeout=max(deadline - time.monotonic(), 0.001),
                        metadata=(*sent, *(metadata or ())),
                        **options,
                    )
            except grpc.RpcError as error:
                failure = self._channel.error(error)
                if self._worth_repeating(failure, sent, waits, deadline):
                    continue
                raise failure from error

    def _worth_repeating(
        self,
        failure: StudbookError,
        sent: CallMetadata,
        waits: list[float],
        deadline: float,
    ) -> bool:
        """Decide about another attempt, having waited as long as it takes before it."""
        if isinstance(failure, Unauthenticated) and failure.reason == "TOKEN_EXPIRED":
            # The call was refused before it did anything. A token that was renewed in the
            # meantime differs from the one that was sent; the same one would fail again.
            return self._channel.call_metadata() != sent
        # Waits are spread, so that many clients do not come back at the same moment.
        if failure.reason == "RATE_LIMITED":
            # It was refused before it did anything. There is room for it soon; not before.
            wait = failure.retry_after_s * random.uniform(1.0, 1.5)  # noqa: S311 - no secret depends on it
        elif type(failure) is Unavailable and waits:
            wait = waits.pop(0) * random.uniform(0.7, 1.3)  # noqa: S311 - as above
        else:
            return False
        if time.monotonic() + wait >= deadline:
            return False
        time.sleep(wait)
        return True


class _StreamedAnswer:
    def __init__(self, channel: CallChannel, call: Any) -> None:
        self._channel = channel
        self._call = call

    def __call__(
        self,
        request: Any,
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str]] = (),
        **options: Any,
    ) -> _Answers:
        everything = (*self._channel.call_metadata(lasting=True), *(metadata or ()))
        answers = self._call(request, timeout=timeout, metadata=everything, **options)
        return _Answers(self._channel, answers)


class _Answers:
    """Iterates over a stream's messages; its failures are `studbook.exceptions`."""

    def __init__(self, channel: CallChannel, answers: Any) -> None:
        self._channel = channel
        self._answers = answers

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._answers)
        except grpc.RpcError as error:
            raise self._channel.error(error) from error

    def cancel(self) -> None:
        """Give the rest up."""
        self._answers.cancel()


class _StreamedRequest:
    def __init__(self, channel: CallChannel, call: Any) -> None:
        self._channel = channel
        self._call = call

    def __call__(
        self,
        requests: Iterator[Any],
        timeout: float | None = None,
        metadata: Iterable[tuple[str, str]] = (),
        **options: Any,
    ) -> Any:
        everything = (*self._channel.call_metadata(lasting=True), *(metadata or ()))
        try:
            with calling():
                return self._call(requests, timeout=timeout, metadata=everything, **options)
        except grpc.RpcError as error:
            raise self._channel.error(error) from error
