"""Metadata at random, by hand-made HTTP/2: refused in words or by the transport, never a defect."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.security.castle import bearer, outcome
from tests.security.wire import Wire

if TYPE_CHECKING:
    from tests.security.castle import Castle

NAMES = st.sampled_from(
    [
        "authorization", "authorization-bin", "studbook-assertion", "studbook-assertion-bin",
        "studbook-client", "studbook-stream", "x-request-id", "traceparent", "tracestate",
        "grpc-timeout", "grpc-encoding", "grpc-accept-encoding", "grpc-tags-bin", "te",
        "content-length", "cookie", "host", "user-agent", "x-forwarded-for",
    ]
).map(str.encode) | st.binary(min_size=1, max_size=12)  # fmt: skip
VALUES = st.one_of(
    st.binary(max_size=40),
    st.sampled_from(
        [b"Bearer ", b"bearer a.b.c", b"Bearer eyJhbGciOiJub25lIn0.e30.", b"gzip", b"1n", b"0S"]
    ),
)


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=6))
def test_nobody_gets_in(castle: Castle, entries: list[tuple[bytes, bytes]]) -> None:
    with Wire(castle.gateway) as wire:
        reply = wire.ask(wire.headers(*entries))
        # It came to an end, and not to a good one.
        assert reply.status not in {"", "OK"}
        assert reply.reason != "INTERNAL"


def test_good_callers_go_on(castle: Castle) -> None:
    assert outcome(lambda: castle.list_models(bearer(castle.person("vera")))) == ("OK", "")
    log = (castle.stack.folder.logs / "gateway.log").read_text(errors="replace")
    assert '"defect"' not in log
