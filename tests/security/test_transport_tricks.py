"""What can be done to the gateway below gRPC: headers, paths, frames, bodies, floods."""

from __future__ import annotations

import base64
import contextlib
import gzip
import socket
import time
from typing import TYPE_CHECKING

import h2.exceptions
import pytest

from service_chassis.assertion import METADATA_KEY, AssertionSigner
from service_chassis.caller import Caller, Principal
from tests.security.castle import bearer
from tests.security.wire import ASKS_FOR_MODELS, LIST_MODELS, Header, Wire, message

if TYPE_CHECKING:
    from tests.security.castle import Castle

NOT_ALLOWED = ("PERMISSION_DENIED", "PERMISSION_MISSING")
NO_TOKEN = ("UNAUTHENTICATED", "TOKEN_MISSING")
INVALID = ("UNAUTHENTICATED", "TOKEN_INVALID")
OK = ("OK", "")
SERVER_INFO = "/studbook.identity.v1.IdentityService/GetServerInfo"
HEALTH = "/grpc.health.v1.Health/Check"
NOT_A_MESSAGE = ("INVALID_ARGUMENT", "MESSAGE_INVALID")
ASSERTION_OF_ADMIN = "an assertion of the gateway's for an administrator"


def assertion(castle: Castle, audience: str = "registry", method: str = LIST_MODELS) -> str:
    """What the gateway itself would tell the registry of an administrator."""
    signer = AssertionSigner("gateway", (castle.stack.folder.keys / "gateway.pem").read_bytes())
    caller = Caller(Principal("user:corp:olga", "user"), {"models.read": ("**",)})
    return signer.sign(caller, method, audience)


def encoded(text: str) -> str:
    """As values of binary entries are sent."""
    return base64.b64encode(text.encode()).rstrip(b"=").decode()


AUTHORIZATIONS: dict[str, tuple[list[tuple[str, str]], tuple[str, str]]] = {
    "none": ([], NO_TOKEN),
    "two, the good one first": (
        [("authorization", "Bearer {ada}"), ("authorization", "Bearer {nobody}")],
        INVALID,
    ),
    "two, the good one last": (
        [("authorization", "Bearer {nobody}"), ("authorization", "Bearer {ada}")],
        INVALID,
    ),
    "the same twice": (
        [("authorization", "Bearer {ada}"), ("authorization", "Bearer {ada}")],
        INVALID,
    ),
    "two in one, by a comma": ([("authorization", "Bearer {nobody}, Bearer {ada}")], INVALID),
    "the binary twin alone": ([("authorization-bin", "{ada_bin}")], NO_TOKEN),
    "the binary twin beside a bad one": (
        [("authorization", "Bearer {nobody}x"), ("authorization-bin", "{ada_bin}")],
        INVALID,
    ),
    "Basic": ([("authorization", "Basic YWRhOmFkYQ==")], INVALID),
    "no scheme": ([("authorization", "{ada}")], INVALID),
    "scheme alone": ([("authorization", "Bearer")], NO_TOKEN),
    "scheme and space": ([("authorization", "Bearer ")], NO_TOKEN),
    "another scheme with the token": ([("authorization", "Token {ada}")], INVALID),
    "DPoP": ([("authorization", "DPoP {ada}")], INVALID),
    "scheme with a tab": ([("authorization", "Bearer\t{ada}")], INVALID),
    "two spaces": ([("authorization", "Bearer  {ada}")], INVALID),
    "parameters behind": ([("authorization", "Bearer {ada};role=admin")], INVALID),
    "proxy-authorization": ([("proxy-authorization", "Bearer {ada}")], NO_TOKEN),
    "x-authorization": ([("x-authorization", "Bearer {ada}")], NO_TOKEN),
    "cookie": ([("cookie", "authorization=Bearer {ada}; token={ada}")], NO_TOKEN),
    "x-forwarded-access-token": ([("x-forwarded-access-token", "{ada}")], NO_TOKEN),
    "scheme in other case": ([("authorization", "bEaReR {ada}")], OK),
}


@pytest.mark.parametrize("name", AUTHORIZATIONS)
def test_authorization(castle: Castle, name: str) -> None:
    entries, expected = AUTHORIZATIONS[name]
    tokens = {"ada": castle.person("ada"), "nobody": castle.person("eve")}
    with Wire(castle.gateway) as wire:
        tokens["ada_bin"] = encoded(f"Bearer {tokens['ada']}")
        sent = [(key, value.format(**tokens)) for key, value in entries]
        assert wire.list_models(*sent) == expected


SPOOFED = (
    METADATA_KEY, f"{METADATA_KEY}-bin", "studbook-principal", "studbook-caller",
    "studbook-request-id", "x-studbook-principal", "x-forwarded-user", "x-forwarded-email",
    "x-forwarded-groups", "x-remote-user", "x-auth-request-user", "x-pomerium-jwt-assertion",
    "x-goog-iap-jwt-assertion", "x-amzn-oidc-data", "x-ms-client-principal", "forwarded",
    "x-forwarded-for", "x-real-ip", "x-original-url", "x-http-method-override", "grpc-trace-bin",
)  # fmt: skip


@pytest.mark.parametrize("name", SPOOFED)
def test_name_that_speaks_for_somebody(castle: Castle, name: str) -> None:
    """None of these makes a caller another one: eve stays eve, and may nothing."""
    with Wire(castle.gateway) as wire:
        note = assertion(castle)
        entry = name, encoded(note) if name.endswith("-bin") else note
        assert wire.list_models(bearer(castle.person("eve")), entry) == NOT_ALLOWED
        assert wire.list_models(entry) == NO_TOKEN


PATHS = {
    "double slash": "//studbook.registry.v1.ModelService/ListModels",
    "trailing slash": f"{LIST_MODELS}/",
    "dot segment": "/studbook.registry.v1.ModelService/./ListModels",
    "parent segment": f"/studbook.identity.v1.IdentityService/..{LIST_MODELS}",
    "escaped slash": "/studbook.registry.v1.ModelService%2FListModels",
    "escaped letter": "/studbook.registry.v1.ModelService/%4CistModels",
    "lower case": LIST_MODELS.lower(),
    "query": f"{LIST_MODELS}?public=1",
    "fragment": f"{LIST_MODELS}#x",
    "matrix parameter": "/studbook.registry.v1.ModelService;x=1/ListModels",
    "backslash": "/studbook.registry.v1.ModelService\\ListModels",
    "no leading slash": LIST_MODELS[1:],
    "whole URL": f"http://localhost{LIST_MODELS}",
    "null behind": f"{LIST_MODELS}\0",
    "public method's service": "/studbook.identity.v1.IdentityService/ListModels",
    "public method of another service": "/studbook.registry.v1.ModelService/GetServerInfo",
    "empty": "/",
    "very long": f"/{'a' * 9000}/b",
    "unicode twin": "/studbook.registry.v1.ModelService/L\u0456stModels",
}


@pytest.mark.parametrize("name", PATHS)
@pytest.mark.parametrize("who", ["nobody", "ada"])
def test_path_is_exact_or_unknown(castle: Castle, name: str, who: str) -> None:
    """Another spelling of a method is no method, whoever calls; it is never answered."""
    entries = [bearer(castle.person("ada"))] if who == "ada" else []
    with Wire(castle.gateway) as wire:
        reply = wire.ask(wire.headers(*entries, path=PATHS[name]))
        assert reply.outcome in {("UNIMPLEMENTED", "UNKNOWN_METHOD"), ("reset", "")}
        assert reply.data == b""


@pytest.mark.parametrize("kind", ["GET", "PUT", "OPTIONS", "CONNECT", "TRACE"])
def test_other_http_methods_get_nowhere(castle: Castle, kind: str) -> None:
    with Wire(castle.gateway) as wire:
        reply = wire.ask(wire.headers(bearer(castle.person("ada")), method=kind))
        assert reply.status not in {"OK", ""}
        assert reply.data == b""


@pytest.mark.parametrize(
    "kind", ["text/plain", "multipart/form-data", "application/x-www-form-urlencoded"]
)
def test_what_a_page_elsewhere_can_make_a_browser_send(castle: Castle, kind: str) -> None:
    """It can send a form with the cookies that there are, but no header with a token."""
    cookies = "__Host-studbook-session=x; authorization=Bearer x"
    with Wire(castle.gateway) as wire:
        entries = ("cookie", cookies), ("origin", "https://evil.example")
        assert wire.ask(wire.headers(*entries, content_type=kind)).outcome == NO_TOKEN


@pytest.mark.parametrize("area", ["tracking", "registry"])
@pytest.mark.parametrize(
    "note", ["none", "other method", "other service", "expired", "own key", "token", "twice"]
)
def test_services_answer_the_gateway_alone(castle: Castle, area: str, note: str) -> None:
    method = {
        "registry": LIST_MODELS,
        "tracking": "/studbook.tracking.v1.ExperimentService/ListExperiments",
    }[area]
    good = assertion(castle, area, method)
    stranger = AssertionSigner("gateway", _strangers_key())
    caller = Caller(Principal("user:corp:olga", "user"), {"models.read": ("**",)})
    other = {"registry": "tracking", "tracking": "registry"}[area]
    entries: dict[str, list[Header]] = {
        "none": [],
        "other method": [(METADATA_KEY, assertion(castle, area, f"{method}s"))],
        "other service": [(METADATA_KEY, assertion(castle, other, method))],
        "expired": [(METADATA_KEY, _expired(castle, area, method))],
        "own key": [(METADATA_KEY, stranger.sign(caller, method, area))],
        "token": [bearer(castle.person("olga"))],
        "twice": [(METADATA_KEY, good), (METADATA_KEY, good)],
    }
    with Wire(getattr(castle.stack.addresses, area)) as wire:
        reply = wire.ask(wire.headers(*entries[note], path=method))
        assert reply.outcome == ("UNAUTHENTICATED", "ASSERTION_INVALID")


def _strangers_key() -> bytes:
    from joserfc.jwk import OKPKey  # noqa: PLC0415 - here alone

    return OKPKey.generate_key("Ed25519").as_pem(private=True)


def _expired(castle: Castle, audience: str, method: str) -> str:
    real = time.time
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("service_chassis.assertion.time.time", lambda: real() - 120)
        return assertion(castle, audience, method)


def bomb(size: int) -> bytes:
    """Zeros without end in a few bytes."""
    return gzip.compress(bytes(size))


BODIES: dict[str, tuple[bytes, list[Header], set[tuple[str, str]]]] = {
    "a bomb": (
        message(bomb(100_000_000), compressed=1),
        [("grpc-encoding", "gzip")],
        {("RESOURCE_EXHAUSTED", ""), ("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")},
    ),
    "compressed without saying how": (
        message(bomb(10), compressed=1),
        [],
        {("INTERNAL", ""), ("UNIMPLEMENTED", "")},
    ),
    "an encoding nobody has": (
        message(b"x", compressed=1),
        [("grpc-encoding", "zip-of-death")],
        {("UNIMPLEMENTED", ""), ("INTERNAL", "")},
    ),
    "a length of four gigabytes": (
        message(b"x", length=2**32 - 1),
        [],
        {("RESOURCE_EXHAUSTED", "")},
    ),
    "a length longer than the body": (message(b"x", length=5000), [], {NOT_A_MESSAGE}),
    "a prefix cut short": (b"\0\0", [], {NOT_A_MESSAGE}),
    "no message": (b"", [], {NOT_A_MESSAGE}),
    "two messages": (ASKS_FOR_MODELS * 2, [], {OK}),
    "bytes that are no message": (
        message(b"\xff" * 50),
        [],
        {NOT_A_MESSAGE},
    ),
    "a message of five megabytes": (
        message(bytes(5_000_000)),
        [],
        {("RESOURCE_EXHAUSTED", "MESSAGE_TOO_LARGE")},
    ),
}


@pytest.mark.parametrize("name", BODIES)
def test_body(castle: Castle, name: str) -> None:
    body, entries, expected = BODIES[name]
    with Wire(castle.gateway) as wire:
        reply = wire.ask(wire.headers(bearer(castle.person("ada")), *entries), body)
        assert reply.outcome in expected, reply


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/", b""),
        (LIST_MODELS, b""),
        (LIST_MODELS, message(b"x", length=100)[:-1]),
        (SERVER_INFO, b"\0"),
        (HEALTH, b""),
    ],
)
def test_calls_whose_message_never_comes(castle: Castle, path: str, body: bytes) -> None:
    """They are not waited for: without a token not at all, and else for a moment."""
    with contextlib.ExitStack() as held:
        wires = [held.enter_context(Wire(castle.gateway)) for _ in range(3)]
        begun = [
            (wire, wire.begin(wire.headers(path=path), body, end=False))
            for wire in wires
            for _ in range(100)
        ]
        good_call(castle)
        wire, number = begun[0]
        assert wire.reply(number, patience_s=8).status in {
            "UNAUTHENTICATED", "UNIMPLEMENTED", "DEADLINE_EXCEEDED",
        }  # fmt: skip


def test_watches_of_health_without_end(castle: Castle) -> None:
    with contextlib.ExitStack() as held:
        wires = [held.enter_context(Wire(castle.gateway)) for _ in range(3)]
        for wire in wires:
            for _ in range(100):
                wire.begin(wire.headers(path=f"{HEALTH[:-5]}Watch"), message(b""))
        good_call(castle)
        number = wires[0].begin(wires[0].headers(path=f"{HEALTH[:-5]}Watch"), message(b""))
        assert wires[0].reply(number).status == "RESOURCE_EXHAUSTED"


@pytest.mark.parametrize(
    "entries",
    [
        [("authorization", "Bearer " + "A" * 100_000)],
        [("x-padding", "p" * 40_000)],
        [(f"x-header-{number}", "v" * 30) for number in range(2000)],
    ],
    ids=["a token of a hundred thousand letters", "one long header", "two thousand headers"],
)
def test_headers_without_measure(castle: Castle, entries: list[Header]) -> None:
    with Wire(castle.gateway) as wire:
        reply = wire.ask(wire.headers(*entries, bearer(castle.person("ada"))))
        assert reply.outcome == ("RESOURCE_EXHAUSTED", "METADATA_TOO_LARGE")
        assert reply.data == b""


def test_name_in_capitals_is_no_header(castle: Castle) -> None:
    with Wire(castle.gateway) as wire:
        reply = wire.ask(wire.headers(("Authorization", f"Bearer {castle.person('ada')}")))
        assert reply.outcome == ("INTERNAL", "")
        assert reply.message == "Illegal header key: Authorization"


def good_call(castle: Castle) -> None:
    """Somebody else is served, and soon."""
    with Wire(castle.gateway) as wire:
        start = time.monotonic()
        assert wire.list_models(bearer(castle.person("ada"))) == OK
        assert time.monotonic() - start < 5


def test_streams_that_are_reset_at_once(castle: Castle) -> None:
    """Rapid reset: thousands of calls begun and given up, on one connection."""
    entry = bearer(castle.person("ada"))
    with Wire(castle.gateway) as wire, contextlib.suppress(h2.exceptions.ProtocolError):
        for _ in range(2000):
            number = wire.begin(wire.headers(entry), b"", end=False)
            wire.h2.reset_stream(number)
        wire.flush()
        good_call(castle)
    good_call(castle)


@pytest.mark.parametrize(
    "frame",
    [
        b"\0\0\x08\x06\0\0\0\0\0" + bytes(8),
        b"\0\0\0\x04\0\0\0\0\0",
        b"\0\0\x04\x08\0\0\0\0\0\0\0\0\x01",
        b"\0\0\x05\x02\0\0\0\0\x01\0\0\0\0\x10",
        b"\0\0\0\0\0\0\0\0\x01",
    ],
    ids=["pings", "settings", "window updates", "priorities", "empty data of no stream"],
)
def test_flood_of_frames(castle: Castle, frame: bytes) -> None:
    with Wire(castle.gateway) as wire:
        for _ in range(100):
            wire.send(frame * 200)
        good_call(castle)
    good_call(castle)


def test_headers_that_never_end(castle: Castle) -> None:
    """HEADERS without their end, and CONTINUATION after CONTINUATION."""
    with Wire(castle.gateway) as wire:
        block = b"\x40\x01a\x7f\x80\x01" + b"b" * 255
        wire.send(len(block).to_bytes(3) + b"\x01\0\0\0\0\x01" + block)
        for _ in range(2000):
            wire.send(len(block).to_bytes(3) + b"\x09\0\0\0\0\x01" + block)
        good_call(castle)
    good_call(castle)


def test_connections_that_say_nothing(castle: Castle) -> None:
    host, _, port = castle.gateway.rpartition(":")
    with contextlib.ExitStack() as held:
        for _ in range(200):
            held.enter_context(socket.create_connection((host, int(port))))
        good_call(castle)


def test_calls_that_send_a_byte_and_wait(castle: Castle) -> None:
    """As many calls as a connection may have, none of which gets to its end."""
    entry = bearer(castle.person("ada"))
    with Wire(castle.gateway) as wire, contextlib.suppress(h2.exceptions.ProtocolError):
        for _ in range(100):
            wire.begin(wire.headers(entry), b"\0", end=False)
        good_call(castle)


def test_uploads_that_never_end(castle: Castle) -> None:
    upload = "/studbook.tracking.v1.ArtifactService/Upload"
    entry = bearer(castle.person("ada"))
    with Wire(castle.gateway) as wire, contextlib.suppress(h2.exceptions.ProtocolError):
        for _ in range(50):
            wire.begin(wire.headers(entry, path=upload), b"", end=False)
        good_call(castle)


def test_garbage_in_place_of_http(castle: Castle) -> None:
    host, _, port = castle.gateway.rpartition(":")
    for garbage in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01" + bytes(200), b"\xff" * 65536):
        with (
            socket.create_connection((host, int(port)), 10) as connection,
            contextlib.suppress(OSError),
        ):
            connection.sendall(garbage)
    good_call(castle)
