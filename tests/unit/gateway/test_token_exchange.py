"""A CI job's token is good for one exchange; what it gets for it is narrow and short."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from google.protobuf.duration_pb2 import Duration
from structlog.testing import capture_logs

from studbook.identity.v1 import identity_service_pb2 as messages
from tests.unit.gateway import exchanging_gateways as at
from tests.unit.gateway.exchanging_gateways import (
    BEER,
    NEXT_KEY,
    TOKEN_KEY,
    WINE,
    Replicas,
    bearer,
    reason,
    with_replicas,
)
from tests.unit.gateway.running_gateway import explanation, refused

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.gateway.loopback_issuer import LoopbackIssuer


@pytest.fixture
def run(tmp_path: Path, http_issuer: LoopbackIssuer) -> Any:
    """Runs a test against two replicas."""
    return lambda test, **more: with_replicas(tmp_path, http_issuer, test, **more)


def test_a_job_exchanges_its_token_and_works_with_what_it_got(run: Any) -> None:
    async def test(replicas: Replicas) -> None:
        given = replicas.job_token(jti="j1")
        info = await replicas.identity().GetServerInfo(messages.GetServerInfoRequest())
        assert [issuer.exchange_required for issuer in info.job_token_issuers] == [True]
        with capture_logs() as logs:
            assert await reason(replicas.create(WINE, given)) == "TOKEN_NOT_EXCHANGED"
        (line,) = [entry for entry in logs if entry.get("security") == "refused"]
        told = ("reason", "method", "principal", "issuer", "subject", "token_id")
        assert [line[name] for name in told] == [
            "TOKEN_NOT_EXCHANGED",
            "/studbook.registry.v1.ModelService/CreateModel",
            "pipeline:release",
            replicas.issuer.url,
            "repo:acme/wine:ref:refs/heads/main",
            "j1",
        ]
        assert (await replicas.who(given)).principal.id == "pipeline:release"

        got = await replicas.exchange(given)
        assert got.principal.id == "pipeline:release"
        assert list(got.resources) == ["**"]
        assert 890 < got.expire_time.seconds - time.time() <= 900
        # By the other replica, too.
        who = await replicas.who(got.access_token, 1)
        assert who.principal.pipeline_claims["run_id"] == "77"
        assert who.principal.subject == "repo:acme/wine:ref:refs/heads/main"
        await replicas.create(WINE, got.access_token, 1)
        exchanged, created = await replicas.registry.ledger()
        assert (exchanged.action, exchanged.resource) == ("token.exchanged", "workspaces/main")
        assert exchanged.actor.token_id == "j1"
        assert exchanged.actor.pipeline_claims["repository_id"] == "1"
        content = json.loads(exchanged.content_json)
        assert content["resources"] == ["**"]
        assert content["exchanged_token_id"] == created.actor.token_id == who.principal.token_id
        assert created.actor.token_id.startswith("j1/")

    run(test)


def test_a_token_is_exchanged_once_whoever_tries(run: Any) -> None:
    async def test(replicas: Replicas) -> None:
        given = replicas.job_token()
        tries = [replicas.exchange(given, number % 2) for number in range(6)]
        ends = await asyncio.gather(*tries, return_exceptions=True)
        failures = [end for end in ends if isinstance(end, BaseException)]
        assert {explanation(end).reason for end in failures} == {"TOKEN_SPENT"}  # type: ignore[arg-type]
        assert len(failures) == 5
        # The same token id in another token does not make it another.
        again = replicas.job_token(jti="same", run_id="1")
        await replicas.exchange(again)
        with capture_logs() as logs:
            twin = replicas.job_token(jti="same", run_id="2")
            assert await reason(replicas.exchange(twin)) == "TOKEN_SPENT"
        (line,) = [entry for entry in logs if entry.get("security") == "refused"]
        assert (line["security"], line["token_id"]) == ("refused", "same")
        # Without an id the content tells.
        bare = replicas.job_token(jti=None, run_id="3")
        await replicas.exchange(bare)
        assert await reason(replicas.exchange(bare)) == "TOKEN_SPENT"

    run(test)


def test_a_token_is_good_for_the_resources_asked_for(run: Any) -> None:
    async def test(replicas: Replicas) -> None:
        got = await replicas.exchange(replicas.job_token(), resources=[f"{WINE}/**"])
        who = await replicas.who(got.access_token)
        assert [grant.resource for grant in who.grants] == [f"{WINE}/**"]
        assert await reason(replicas.read(WINE, got.access_token)) == "NOT_FOUND"
        assert await reason(replicas.create(WINE, got.access_token)) == "PERMISSION_MISSING"
        assert await reason(replicas.read(BEER, got.access_token)) == "PERMISSION_MISSING"
        question = messages.TestAccessRequest(permission="models.write", resource=BEER)
        metadata = bearer(got.access_token)
        answer = await replicas.identity().TestAccess(question, metadata=metadata)
        assert not answer.allowed
        assert f"only on {WINE}/**" in answer.explanation
        for wrong in (["workspaces/**"], ["workspaces/other/models/**"], ["models/wine"]):
            error = await refused(replicas.exchange(replicas.job_token(), resources=wrong))
            assert explanation(error).metadata["field"] == "resources"

    run(test)


def test_the_rules_of_the_moment_hold_for_tokens_given_before(run: Any) -> None:
    async def test(replicas: Replicas) -> None:
        token = (await replicas.exchange(replicas.job_token(jti="j2"))).access_token
        own_id = (await replicas.who(token)).principal.token_id.rpartition("/")[2]
        await replicas.change_rules(ref="refs/heads/other")
        assert await reason(replicas.who(token)) == "PIPELINE_UNKNOWN"
        await replicas.change_rules()
        await replicas.who(token)
        for revoked in (
            "tokens: [j2]",
            f"tokens: [{own_id}]",
            f"tokens: [j2/{own_id}]",
            "issuers: [ci]",
            'principals: [{principal: "pipeline:release"}]',
        ):
            await replicas.change_rules(rest=f"revoked:\n  {revoked}")
            assert await reason(replicas.who(token)) == "TOKEN_REVOKED"
        await replicas.change_rules(rest="revoked:\n  tokens: [j3]")
        await replicas.who(token)

    run(test)


@pytest.mark.parametrize(
    ("asked_s", "ci_token_s", "expected_s"),
    [(60, 300, 60), (3000, 300, 900), (3000, 3600, 3000), (9000, 3600, 3600), (None, 3600, 900)],
)
def test_how_long_a_token_is_good(
    run: Any, asked_s: int | None, ci_token_s: int, expected_s: int
) -> None:
    async def test(replicas: Replicas) -> None:
        now = int(time.time())
        given = replicas.job_token(iat=now, exp=now + ci_token_s)
        wanted: Any = {} if asked_s is None else {"lifetime": Duration(seconds=asked_s)}
        got = await replicas.exchange(given, **wanted)
        assert abs(got.expire_time.seconds - now - expected_s) <= 3

    run(test, keys=(TOKEN_KEY,))


def test_what_is_not_exchanged(run: Any) -> None:
    async def test(replicas: Replicas) -> None:
        given = replicas.job_token()
        got = await replicas.exchange(given)
        assert await reason(replicas.exchange(got.access_token)) == "TOKEN_NOT_EXCHANGEABLE"
        error = await refused(
            replicas.exchange(replicas.job_token(), lifetime=Duration(seconds=-1))
        )
        assert explanation(error).metadata["field"] == "lifetime"
        # A gateway that has no key, and one that has another.
        assert await reason(replicas.exchange(replicas.job_token(), 1)) == "TOKEN_NOT_EXCHANGEABLE"
        assert await reason(replicas.who(got.access_token, 1)) == "TOKEN_INVALID"
        assert await reason(replicas.who(got.access_token, 2)) == "TOKEN_INVALID"

    keys = (TOKEN_KEY, None, NEXT_KEY)
    run(test, keys=keys, exchange="exchange: optional")


def test_a_key_is_replaced_without_an_interruption(run: Any) -> None:
    async def test(replicas: Replicas) -> None:
        before = (await replicas.exchange(replicas.job_token())).access_token
        after = (await replicas.exchange(replicas.job_token(), 1)).access_token
        for replica in (1, 2):
            await replicas.who(before, replica)
            await replicas.who(after, replica)
        assert await reason(replicas.who(before, 3)) == "TOKEN_INVALID"

    keys = (TOKEN_KEY, NEXT_KEY + TOKEN_KEY, TOKEN_KEY + NEXT_KEY, NEXT_KEY)
    run(test, keys=keys)


def test_a_registry_that_is_down_gives_no_token(run: Any) -> None:
    async def test(replicas: Replicas) -> None:
        await replicas.registry.application.close()
        error = await refused(replicas.exchange(replicas.job_token()))
        assert error.code().name == "UNAVAILABLE"

    run(test, keys=(TOKEN_KEY,))


def test_tokens_are_exchanged_or_not_as_the_rules_say(run: Any) -> None:
    async def test(replicas: Replicas) -> None:
        given = replicas.job_token()
        await replicas.create(WINE, given)
        await replicas.exchange(given)

    run(test, keys=(TOKEN_KEY,), exchange="exchange: optional")


def test_without_a_key_no_token_can_have_to_be_exchanged(
    run: Any, tmp_path: Path, http_issuer: LoopbackIssuer
) -> None:
    async def never(_replicas: Replicas) -> None:
        raise AssertionError

    with pytest.raises(SystemExit, match=r"issuers\.ci\.exchange: .* STUDBOOK_GATEWAY_TOKEN_KEYS"):
        run(never, keys=(None,))
    with pytest.raises(SystemExit, match="is of no use"):
        run(never, keys=(b"nothing",))
    assert at.settings(tmp_path, "127.0.0.1:1", None).exchanged_token_seconds == 900
