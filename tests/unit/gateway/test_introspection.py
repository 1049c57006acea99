"""Opaque tokens are what their issuer says, and are held to the same rules as signed ones."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time
from base64 import b64decode
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from gateway import issuer_endpoint
from gateway.access_checks import AccessFileError
from gateway.authentication import Authenticated, Authenticator
from gateway.introspection import Introspector
from gateway.signing_keys import SigningKeys
from gateway.token_verifier import TokenVerifier
from gateway.waiting_room import MOST_WAITING
from service_chassis.errors import StudbookError
from tests.patience import PATIENCE_S
from tests.unit.gateway.loopback_issuer import AUDIENCE, LoopbackIssuer, rules_for
from tests.unit.gateway.running_gateway import Rules

if TYPE_CHECKING:
    from pathlib import Path

OPAQUE = "8oqpVsWfeMowzw43WqKtNovVwi6mMPtk"
PATH = "/main/introspect"


@pytest.fixture
def issuer(http_issuer: LoopbackIssuer) -> LoopbackIssuer:
    http_issuer.discovery["introspection_endpoint"] = f"{http_issuer.url}/introspect"
    return http_issuer


@pytest.fixture
def more(tmp_path: Path) -> str:
    """Lines of access.yaml."""
    secret = tmp_path / "secret"
    secret.write_text("p:ss w\n")
    return f"""
    introspection: {{client_id: "https://gateway", client_secret_file: {secret}}}
    service_accounts: [client_id: serving]
"""


def says(issuer: LoopbackIssuer, **changes: Any) -> None:
    """Let the issuer explain every token as a good one, with changes; None takes a member away."""
    now = int(time.time())
    answer = {
        "active": True,
        "sub": "ada",
        "aud": [AUDIENCE],
        "iss": issuer.url,
        "client_id": "studbook-cli",
        "token_type": "Bearer",
        "iat": now,
        "exp": now + 300,
        "groups": ["data-science"],
        **changes,
    }
    kept = {name: value for name, value in answer.items() if value is not None}
    issuer.answers[PATH] = (200, json.dumps(kept).encode(), {})


def authenticated(issuer: LoopbackIssuer, more: str, *tokens: str) -> list[Authenticated | str]:
    """Whom each token speaks for, or why it is refused, asked one after the other."""
    rules = rules_for(issuer.url, more=more)

    async def one(authenticator: Authenticator, token: str) -> Authenticated | str:
        try:
            return await authenticator.authenticate((("authorization", f"Bearer {token}"),))
        except StudbookError as error:
            return error.reason

    async def run() -> list[Authenticated | str]:
        keys = SigningKeys()
        keys.follow(rules)
        authenticator = Authenticator(Rules(rules), TokenVerifier(keys))
        found = [await one(authenticator, token) for token in tokens]
        await authenticator.close()
        await keys.close()
        return found

    return asyncio.run(run())


def principal(issuer: LoopbackIssuer, more: str, token: str = OPAQUE) -> str:
    (found,) = authenticated(issuer, more, token)
    return found if isinstance(found, str) else found.identity.principal.id


def test_person_is_who_the_issuer_says(issuer: LoopbackIssuer, more: str) -> None:
    says(issuer)
    (caller,) = authenticated(issuer, more, OPAQUE)
    assert not isinstance(caller, str)
    assert caller.identity.principal.id == "user:dev:ada"
    assert caller.identity.groups == ("group:dev:data-science",)
    assert OPAQUE not in caller.identity.principal.token_id


def test_gateway_proves_itself_to_the_issuer(issuer: LoopbackIssuer, more: str) -> None:
    says(issuer)
    principal(issuer, more)
    ((credentials, body),) = issuer.posts
    assert b64decode(credentials.removeprefix("Basic ")) == b"https%3A%2F%2Fgateway:p%3Ass+w"
    assert body == f"token={OPAQUE}&token_type_hint=access_token"


def test_token_of_nobody_is_that_of_its_client(issuer: LoopbackIssuer, more: str) -> None:
    says(issuer, sub=None, client_id="serving")
    assert principal(issuer, more) == "service:dev:serving"
    # Whom it speaks for is said by a name that can change hands, so it has to be asked for.
    says(issuer, sub=None, client_id="serving", username="ada")
    assert principal(issuer, more) == "TOKEN_INVALID"


def test_name_is_used_where_the_rules_say_so(issuer: LoopbackIssuer, more: str) -> None:
    says(issuer, sub=None, username="ada")
    assert principal(issuer, more.replace("}", ", subject_claim: username}")) == "user:dev:ada"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"active": False}, "TOKEN_INVALID"),
        ({"active": None}, "TOKEN_INVALID"),
        ({"active": "true"}, "TOKEN_INVALID"),
        ({"active": 1}, "TOKEN_INVALID"),
        ({"iss": "https://elsewhere.example"}, "TOKEN_INVALID"),
        ({"aud": None}, "AUDIENCE_MISMATCH"),
        ({"aud": "another"}, "AUDIENCE_MISMATCH"),
        ({"aud": [AUDIENCE, "another"]}, "AUDIENCE_MISMATCH"),
        ({"exp": None}, "TOKEN_INVALID"),
        ({"exp": int(time.time()) - 100, "iat": None}, "TOKEN_EXPIRED"),
        ({"exp": "soon"}, "TOKEN_INVALID"),
        ({"exp": 2**39}, "TOKEN_INVALID"),
        ({"exp": 2**39, "iat": None}, "TOKEN_INVALID"),
        ({"nbf": 2**39}, "TOKEN_INVALID"),
        ({"sub": ""}, "TOKEN_INVALID"),
        ({"sub": 7}, "TOKEN_INVALID"),
        ({"sub": None, "client_id": None}, "TOKEN_INVALID"),
        ({"token_type": "DPoP"}, "TOKEN_INVALID"),
        ({"typ": "Refresh"}, "TOKEN_INVALID"),
        ({"client_id": "serving"}, "TOKEN_INVALID"),
    ],
)
def test_answers_that_let_nobody_in(
    issuer: LoopbackIssuer, more: str, changes: dict[str, Any], reason: str
) -> None:
    says(issuer, **changes)
    assert principal(issuer, more) == reason


def test_without_an_audience_the_client_has_to_be_allowed(
    issuer: LoopbackIssuer, more: str
) -> None:
    says(issuer, aud=None)
    allowed = "    allowed_clients: [{}]\n"
    assert principal(issuer, more + allowed.format("studbook-cli")) == "user:dev:ada"
    assert principal(issuer, more + allowed.format("other")) == "AUDIENCE_MISMATCH"


def test_refused_token_is_not_asked_about_again_at_once(issuer: LoopbackIssuer, more: str) -> None:
    says(issuer, active=False)
    assert authenticated(issuer, more, OPAQUE, OPAQUE, "another", OPAQUE) == ["TOKEN_INVALID"] * 4
    assert len(issuer.posts) == 2


def test_good_token_is_remembered_for_a_while(issuer: LoopbackIssuer, more: str) -> None:
    says(issuer)
    authenticated(issuer, more, OPAQUE, OPAQUE)
    assert len(issuer.posts) == 1


@pytest.mark.parametrize(
    "answer",
    [
        (500, b"{}", {}),
        (401, b"{}", {}),
        (302, b"", {"Location": "/main/elsewhere"}),
        (200, b"<html>", {}),
        (200, b"[true]", {}),
        (200, b'{"active": false, "active": true}', {}),
        (200, b" " * 70_000, {}),
    ],
)
def test_answer_that_is_none_says_nothing_about_the_token(
    issuer: LoopbackIssuer, more: str, answer: tuple[int, bytes, dict[str, str]]
) -> None:
    issuer.answers[PATH] = answer
    assert principal(issuer, more) == "ISSUER_UNAVAILABLE"


def test_few_wait_for_a_slow_answer(
    issuer: LoopbackIssuer, more: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # So many answers can take a busy machine longer than an issuer has.
    monkeypatch.setattr(issuer_endpoint, "_TIMEOUT_S", PATIENCE_S)
    says(issuer, active=False)
    may_answer = threading.Event()

    def wait() -> None:
        may_answer.wait(PATIENCE_S)

    issuer.before_answer = wait

    async def run() -> list[str]:
        introspector, rules = Introspector(), rules_for(issuer.url, more=more)

        async def one(number: int) -> str:
            try:
                await introspector.verify(f"made-up-{number}", rules)
            except StudbookError as error:
                return error.reason
            return "verified"

        asked = [asyncio.create_task(one(number)) for number in range(MOST_WAITING + 5)]
        for first in itertools.islice(asyncio.as_completed(asked), 5):
            await first
        may_answer.set()
        reasons = await asyncio.gather(*asked)
        await introspector.close()
        return reasons

    reasons = asyncio.run(run())
    assert reasons[MOST_WAITING:] == ["ISSUER_UNAVAILABLE"] * 5
    assert reasons[:MOST_WAITING] == ["TOKEN_INVALID"] * MOST_WAITING


@pytest.mark.parametrize("endpoint", [None, 7, "http://login.example.com/x", "file:///etc/passwd"])
def test_endpoint_has_to_be_one(issuer: LoopbackIssuer, more: str, endpoint: object) -> None:
    issuer.discovery["introspection_endpoint"] = endpoint
    assert principal(issuer, more) == "ISSUER_UNAVAILABLE"
    assert not issuer.posts


def test_endpoint_may_be_given(issuer: LoopbackIssuer, more: str) -> None:
    del issuer.discovery["introspection_endpoint"]
    says(issuer)
    given = f", endpoint: {issuer.url}/introspect}}"
    assert principal(issuer, more.replace("}", given)) == "user:dev:ada"


@pytest.mark.parametrize("token", ["a b", "tök", "a\x00", "x" * 8193, "a=b", '{"a":1}'])
def test_what_is_no_token_is_shown_to_nobody(issuer: LoopbackIssuer, more: str, token: str) -> None:
    says(issuer)
    assert principal(issuer, more, token) == "TOKEN_INVALID"
    assert not issuer.posts


def test_signed_tokens_are_verified_here(issuer: LoopbackIssuer, more: str) -> None:
    assert principal(issuer, more, issuer.token()) == "user:dev:ada"
    assert principal(issuer, more, issuer.token()[:-4] + "AAAA") == "TOKEN_INVALID"
    assert not issuer.posts


def test_nobody_is_asked_where_the_rules_do_not_say_so(issuer: LoopbackIssuer) -> None:
    says(issuer)
    assert principal(issuer, "") == "TOKEN_INVALID"
    assert not issuer.posts


def beginning(more: str, prefix: str) -> str:
    """The lines of an issuer whose tokens begin so."""
    return more.replace("}", f", token_prefix: {prefix}}}") if prefix else more


def also(url: str, more: str) -> str:
    """The lines of another issuer."""
    return f"  other:\n    url: {url}\n    kind: people\n    audience: {AUDIENCE}\n{more}"


@pytest.mark.parametrize(
    ("one", "two"), [("", ""), ("", "b_"), ("a_", ""), ("a_", "a_"), ("a_", "a_b_"), ("ab", "a")]
)
def test_issuers_whose_tokens_may_begin_alike_cannot_both_be_asked(
    issuer: LoopbackIssuer, more: str, one: str, two: str
) -> None:
    other = also("https://x.example", beginning(more, two))
    with pytest.raises(AccessFileError, match="stands at dev too"):
        rules_for(issuer.url, more=beginning(more, one), rest=other)


def test_token_is_shown_to_the_issuer_whose_tokens_begin_so(
    issuer: LoopbackIssuer, more: str
) -> None:
    with LoopbackIssuer() as other:
        other.discovery["introspection_endpoint"] = f"{other.url}/introspect"
        for one in (issuer, other):
            says(one)
        lines = beginning(more, "dev_") + also(other.url, beginning(more, "other_"))
        found = authenticated(issuer, lines, "dev_1", "other_1", "neither_1", "dev_1", "OTHER_1")
        named = [one if isinstance(one, str) else one.identity.principal.id for one in found]
        assert named == [
            "user:dev:ada", "user:other:ada", "TOKEN_INVALID", "user:dev:ada", "TOKEN_INVALID"
        ]  # fmt: skip
        shown = [[body for _, body in one.posts] for one in (issuer, other)]
    assert [len(bodies) for bodies in shown] == [1, 1]
    assert ("token=dev_1" in shown[0][0], "token=other_1" in shown[1][0]) == (True, True)


def test_one_issuer_may_say_how_its_tokens_begin(issuer: LoopbackIssuer, more: str) -> None:
    says(issuer)
    lines = beginning(more, OPAQUE[:4])
    assert principal(issuer, lines) == "user:dev:ada"
    assert principal(issuer, lines, f"x{OPAQUE}") == "TOKEN_INVALID"
    assert len(issuer.posts) == 1


def test_token_that_does_not_say_since_when_is_taken_for_an_old_one(
    issuer: LoopbackIssuer, more: str
) -> None:
    an_hour_ago = datetime.fromtimestamp(time.time() - 3600, UTC).isoformat()
    revoked = f"""
revoked:
  principals: [{{principal: "user:dev:ada", issued_before: {an_hour_ago}}}]
"""
    says(issuer)
    assert authenticated(issuer, more + revoked, OPAQUE) != ["TOKEN_REVOKED"]
    says(issuer, iat=None)
    assert authenticated(issuer, more + revoked, OPAQUE) == ["TOKEN_REVOKED"]
