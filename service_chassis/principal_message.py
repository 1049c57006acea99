"""A principal as the contracts show it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from studbook.identity.v1 import principal_pb2

if TYPE_CHECKING:
    from service_chassis.caller import Principal

_KINDS = {
    "user": principal_pb2.PRINCIPAL_KIND_USER,
    "service": principal_pb2.PRINCIPAL_KIND_SERVICE,
    "pipeline": principal_pb2.PRINCIPAL_KIND_PIPELINE,
}


def principal_message(principal: Principal) -> principal_pb2.Principal:
    """The principal as a message; a kind that is none of the contract's stays unset."""
    return principal_pb2.Principal(
        id=principal.id,
        kind=_KINDS.get(principal.kind, principal_pb2.PRINCIPAL_KIND_UNSPECIFIED),
        display_name=principal.display_name,
        issuer=principal.issuer,
        subject=principal.subject,
        pipeline_claims=principal.pipeline_claims,
        token_id=principal.token_id,
    )
