"""Groups that stand in no token come from the issuer, for the person that the token is of."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from gateway.access_checks import AccessFileError
from gateway.authentication import Authenticated, Authenticator
from gateway.signing_keys import SigningKeys
from gateway.token_verifier import TokenVerifier
from service_chassis.errors import StudbookError
from tests.patience import PATIENCE_S
from tests.unit.gateway.loopback_issuer import LoopbackIssuer, rules_for
from tests.unit.gateway.running_gateway import Rules

if TYPE_CHECKING:
    from gateway.access_rules import AccessRules

PATH = "/main/userinfo"
MORE = "    groups_source: userinfo\n    service_accounts: [client_id: serving]"


@pytest.fixture
def issuer(http_issuer: LoopbackIssuer) -> LoopbackIssuer:
    """One that names no groups in tokens."""
    http_issuer.discovery["userinfo_endpoint"] = f"{http_issuer.url}/userinfo"
    says(http_issuer)
    return http_issuer


def says(issuer: LoopbackIssuer, **changes: Any) -> None:
    """Let userinfo tell of ada, with changes; None takes a member away."""
    answer = {"sub": "ada", "groups": ["data-science"], **changes}
    kept = {name: value for name, value in answer.items() if value is not None}
    issuer.answers[PATH] = (200, json.dumps(kept).encode(), {})


def asked(issuer: LoopbackIssuer) -> int:
    return issuer.requests.count(PATH)


class Door:
    """Where tokens are shown, under rules that a test can exchange; the clock can be set."""

    def __init__(self, rules: AccessRules) -> None:
        self.rules = Rules(rules)
        self.ahead_s = 0.0
        self._keys = SigningKeys()
        self._keys.follow(rules)
        self._verifier = TokenVerifier(self._keys)
        self._authenticator = Authenticator(self.rules, self._verifier, now=self._now)

    def _now(self) -> float:
        return time.time() + self.ahead_s

    async def show(self, token: str) -> Authenticated | str:
        """Whom it speaks for, or why it is refused."""
        try:
            return await self._authenticator.authenticate((("authorization", f"Bearer {token}"),))
        except StudbookError as error:
            return error.reason

    async def close(self) -> None:
        await self._authenticator.close()
        await self._keys.close()


def shown(issuer: LoopbackIssuer, *tokens: str, more: str = MORE) -> list[Authenticated | str]:
    async def run() -> list[Authenticated | str]:
        door = Door(rules_for(issuer.url, more=more))
        found = [await door.show(token) for token in tokens]
        await door.close()
        return found

    return asyncio.run(run())


def groups_of(found: Authenticated | str) -> tuple[str, ...]:
    assert not isinstance(found, str), found
    return found.identity.groups


def test_groups_are_those_that_the_issuer_names(issuer: LoopbackIssuer) -> None:
    (found,) = shown(issuer, issuer.token(groups=None))
    assert groups_of(found) == ("group:dev:data-science",)


def test_path_leads_into_the_answer(issuer: LoopbackIssuer) -> None:
    says(issuer, realm_access={"roles": "trainers"})
    more = f"{MORE}\n    groups_claim: realm_access/roles"
    (found,) = shown(issuer, issuer.token(), more=more)
    assert groups_of(found) == ("group:dev:trainers",)


def test_nothing_else_is_taken_from_the_answer(issuer: LoopbackIssuer) -> None:
    says(issuer, aud="elsewhere", client_id="serving", name="Somebody", exp=1)
    (found,) = shown(issuer, issuer.token(groups=None))
    assert groups_of(found) == ("group:dev:data-science",)
    assert not isinstance(found, str)
    assert found.identity.principal.display_name == "Ada"


@pytest.mark.parametrize("changes", [{"groups": ["mine"]}, {"groups": []}, {"groups": "mine"}])
def test_issuer_is_not_asked_where_the_token_says_it(
    issuer: LoopbackIssuer, changes: dict[str, Any]
) -> None:
    (found,) = shown(issuer, issuer.token(**changes))
    assert groups_of(found) == (("group:dev:mine",) if changes["groups"] else ())
    assert asked(issuer) == 0


def test_issuer_is_not_asked_unless_the_rules_say_so(issuer: LoopbackIssuer) -> None:
    (found,) = shown(issuer, issuer.token(groups=None), more="")
    assert groups_of(found) == ()
    assert asked(issuer) == 0


def test_programs_have_no_groups_and_are_not_asked_about(issuer: LoopbackIssuer) -> None:
    token = issuer.token(groups=None, sub="serving", client_id="serving")
    (found,) = shown(issuer, token)
    assert groups_of(found) == ()
    assert asked(issuer) == 0


def test_token_that_is_not_good_is_shown_to_nobody(issuer: LoopbackIssuer) -> None:
    good = issuer.token(groups=None)
    forged = good[:-6] + ("AAAAAA" if good[-6:] != "AAAAAA" else "BBBBBB")
    assert shown(issuer, forged, issuer.token(groups=None, aud="other")) == [
        "TOKEN_INVALID",
        "AUDIENCE_MISMATCH",
    ]
    assert asked(issuer) == 0


@pytest.mark.parametrize("sub", ["grace", None, "", "ADA", ["ada"]])
def test_answer_about_somebody_else_lets_nobody_in(issuer: LoopbackIssuer, sub: object) -> None:
    says(issuer, sub=sub)
    assert shown(issuer, issuer.token(groups=None)) == ["TOKEN_INVALID"]


def test_token_that_the_issuer_no_longer_takes(issuer: LoopbackIssuer) -> None:
    issuer.answers[PATH] = (401, b"", {})
    assert shown(issuer, issuer.token(groups=None)) == ["TOKEN_INVALID"]


@pytest.mark.parametrize(
    "answer",
    [
        (500, b"{}", {}),
        (403, b"{}", {}),
        (302, b"", {"Location": "/main/elsewhere"}),
        (200, b"<html>", {}),
        (200, b'{"sub": "ada", "sub": "grace"}', {}),
        (200, b"a.b.c", {"Content-Type": "application/jwt"}),
        (200, b" " * 70_000, {}),
    ],
)
def test_answer_that_is_none_lets_nobody_in_without_groups(
    issuer: LoopbackIssuer, answer: tuple[int, bytes, dict[str, str]]
) -> None:
    """A denial may name one of the groups that are not known."""
    issuer.answers[PATH] = answer
    assert shown(issuer, issuer.token(groups=None)) == ["ISSUER_UNAVAILABLE"]


@pytest.mark.parametrize("endpoint", [None, 7, "http://login.example.com/x"])
def test_endpoint_has_to_be_one(issuer: LoopbackIssuer, endpoint: object) -> None:
    issuer.discovery["userinfo_endpoint"] = endpoint
    assert shown(issuer, issuer.token(groups=None)) == ["ISSUER_UNAVAILABLE"]


def test_answer_is_remembered_for_a_minute_also_under_new_rules(issuer: LoopbackIssuer) -> None:
    async def run() -> list[tuple[str, ...]]:
        door = Door(rules_for(issuer.url, more=MORE))
        token, found = issuer.token(groups=None), []
        for group, ahead_s in (("one", 0), ("two", 30), ("three", 61)):
            says(issuer, groups=[group])
            door.ahead_s = ahead_s
            door.rules.current = rules_for(issuer.url, more=MORE)
            found.append(groups_of(await door.show(token)))
        await door.close()
        return found

    assert asyncio.run(run()) == [
        ("group:dev:one",), ("group:dev:one",), ("group:dev:three",)
    ]  # fmt: skip
    assert asked(issuer) == 2


def test_tokens_are_shown_to_the_issuer_a_few_at_a_time(issuer: LoopbackIssuer) -> None:
    going, most, lock = 0, 0, threading.Lock()
    filled = threading.Event()

    def count() -> None:
        nonlocal going, most
        with lock:
            going += 1
            most = max(most, going)
            if going == 16:
                filled.set()
        filled.wait(PATIENCE_S)
        with lock:
            going -= 1

    async def run() -> list[Authenticated | str]:
        door = Door(rules_for(issuer.url, more=MORE))
        await door.show(issuer.token(groups=None))
        issuer.before_answer = count
        tokens = [issuer.token(groups=None, jti=f"t{number}") for number in range(40)]
        found = await asyncio.gather(*map(door.show, tokens))
        await door.close()
        return found

    assert {groups_of(found) for found in asyncio.run(run())} == {("group:dev:data-science",)}
    assert most == 16


def test_id_tokens_are_for_no_userinfo_endpoint(issuer: LoopbackIssuer) -> None:
    more = f"{MORE}\n    bearer: id_token\n    login: {{client_id: https://studbook.example}}"
    with pytest.raises(AccessFileError, match="takes access tokens"):
        rules_for(issuer.url, more=more)
