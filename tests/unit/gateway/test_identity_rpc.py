"""Who am I, what may I do, how do I log in: answered by the gateway itself."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import grpc
import pytest

from gateway.access_file import Binding
from gateway.access_rules import AccessRules
from studbook._version import __version__
from studbook.identity.v1 import identity_service_pb2 as messages
from studbook.identity.v1 import principal_pb2
from tests.unit.gateway.running_gateway import (
    LIMITS,
    Gateway,
    explanation,
    through_gateway,
)

if TYPE_CHECKING:
    from tests.unit.gateway.loopback_issuer import LoopbackIssuer


def test_server_info_needs_no_token(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        info = await gateway.identity.GetServerInfo(messages.GetServerInfoRequest())
        assert info.server_version == __version__
        (provider,) = info.login_providers
        assert (provider.name, provider.issuer) == ("dev", http_issuer.url)
        assert provider.client_id == "studbook-cli"
        assert not provider.development
        assert info.limits == LIMITS

    through_gateway(http_issuer, test)


def test_who_am_i(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        expires = int(time.time()) + 200
        answer = await gateway.identity.WhoAmI(
            messages.WhoAmIRequest(), metadata=gateway.login(exp=expires)
        )
        assert answer.principal == principal_pb2.Principal(
            id="user:dev:ada",
            kind=principal_pb2.PRINCIPAL_KIND_USER,
            display_name="Ada",
            issuer=http_issuer.url,
            subject="ada",
            token_id="t1",
        )
        assert list(answer.groups) == ["group:dev:data-science"]
        (grant,) = answer.grants
        assert (grant.role, grant.member) == ("trainer", "group:dev:data-science")
        assert list(grant.permissions) == sorted(grant.permissions)
        assert answer.token_expire_time.seconds == expires

    through_gateway(http_issuer, test)


def test_who_am_i_without_grants(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        login = gateway.login(sub="serving", client_id="serving")
        answer = await gateway.identity.WhoAmI(messages.WhoAmIRequest(), metadata=login)
        assert answer.principal.kind == principal_pb2.PRINCIPAL_KIND_SERVICE
        assert not answer.grants

    through_gateway(http_issuer, test)


def test_access_is_explained(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        async def ask(permission: str, resource: str) -> messages.TestAccessResponse:
            request = messages.TestAccessRequest(permission=permission, resource=resource)
            response: messages.TestAccessResponse = await gateway.identity.TestAccess(
                request, metadata=gateway.login()
            )
            return response

        allowed = await ask("runs.write", "workspaces/main/experiments/e/runs/r")
        assert allowed.allowed
        assert allowed.grant.resource == "workspaces/main/**"
        denied = await ask("models.promote", "workspaces/main/models/wine/versions/1.0.0-rc.1+b")
        assert not denied.allowed
        assert not denied.HasField("grant")
        assert "releaser" in denied.explanation

    through_gateway(http_issuer, test)


@pytest.mark.parametrize(
    ("permission", "resource", "reason", "field"),
    [
        ("", "workspaces/main", "FIELD_REQUIRED", "permission"),
        ("models.fly", "workspaces/main", "FIELD_INVALID", "permission"),
        ("runs.hold", "workspaces/main", "FIELD_INVALID", "permission"),
        ("runs.read", "", "FIELD_REQUIRED", "resource"),
        ("runs.read", "main", "RESOURCE_NAME_INVALID", "resource"),
        ("runs.read", "workspaces/*/models/m", "RESOURCE_NAME_INVALID", "resource"),
        ("runs.read", "workspaces/main/models", "RESOURCE_NAME_INVALID", "resource"),
        ("runs.read", "workspaces/main/", "RESOURCE_NAME_INVALID", "resource"),
    ],
)
def test_questions_that_make_no_sense(
    http_issuer: LoopbackIssuer, permission: str, resource: str, reason: str, field: str
) -> None:
    async def test(gateway: Gateway) -> None:
        request = messages.TestAccessRequest(permission=permission, resource=resource)
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await gateway.identity.TestAccess(request, metadata=gateway.login())
        info = explanation(refused.value)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert (info.reason, info.metadata["field"]) == (reason, field)

    through_gateway(http_issuer, test)


def test_token_is_needed(http_issuer: LoopbackIssuer) -> None:
    async def test(gateway: Gateway) -> None:
        for call in (
            gateway.identity.WhoAmI(messages.WhoAmIRequest()),
            gateway.identity.TestAccess(messages.TestAccessRequest()),
        ):
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call
            assert explanation(refused.value).reason == "TOKEN_MISSING"

    through_gateway(http_issuer, test)


def test_access_of_others_is_for_those_who_may_ask(http_issuer: LoopbackIssuer) -> None:
    model = "workspaces/main/models/wine"

    async def test(gateway: Gateway) -> None:
        async def ask(members: list[str], **login: str) -> messages.TestAccessResponse:
            request = messages.TestAccessRequest(
                permission="runs.write", resource=model, members=members
            )
            response: messages.TestAccessResponse = await gateway.identity.TestAccess(
                request, metadata=gateway.login(**login)
            )
            return response

        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(["user:dev:max"])
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert explanation(refused.value).metadata["permission"] == "access.test"

        file = gateway.rules.current.file
        olga = Binding(role="admin", members=("user:dev:olga",), resources=(f"{model}/**",))
        gateway.rules.current = AccessRules(
            file.model_copy(update={"bindings": (*file.bindings, olga)})
        )
        answer = await ask(["user:dev:max"], sub="olga")
        assert not answer.allowed
        assert answer.explanation.startswith("Denied: user:dev:max lacks the permission runs.write")
        answer = await ask(["user:dev:max", "group:dev:data-science"], sub="olga")
        assert answer.grant.member == "group:dev:data-science"
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            await ask(["max"], sub="olga")
        assert explanation(refused.value).metadata["field"] == "members"

    through_gateway(http_issuer, test)
