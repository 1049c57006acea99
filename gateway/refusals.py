"""How the gateway refuses a call, in the caller's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service_chassis.errors import Code, StudbookError, failed_precondition, unavailable
from service_chassis.security_log import bearer_of

if TYPE_CHECKING:
    from service_chassis.caller import Principal

_MESSAGES = {
    "TOKEN_MISSING": "The call carries no token; log in, or send `authorization: Bearer TOKEN`.",
    "TOKEN_INVALID": "The token cannot be verified; log in again.",
    "TOKEN_EXPIRED": "The token has expired; log in again.",
    "TOKEN_REVOKED": "The token was revoked; log in again, or ask whoever keeps the server's "
    "access.yaml.",
    "ISSUER_UNKNOWN": "The token's issuer is not one that this server accepts; log in at one of "
    "those that GetServerInfo names.",
    "AUDIENCE_MISMATCH": "The token was issued for another audience; ask the issuer for one with "
    "the audience that GetServerInfo names.",
    "TOKEN_NOT_EXCHANGED": "A CI system's token is good for one thing: call "
    "IdentityService.ExchangeToken with it, and go on with the token that this answers. SDK and "
    "command line do so by themselves.",
    "TOKEN_SPENT": "The token was exchanged before, and each can be once; ask the CI system for "
    "another one, or go on with what the first exchange answered.",
    "PIPELINE_UNKNOWN": "The token is good, yet its claims match no pipeline in the server's "
    "access rules; ask for a pipeline entry with the claims of this job.",
}


class TokenRefusedError(StudbookError):
    """UNAUTHENTICATED.

    What the caller learns is the same for every fault of one kind; which check failed is for the
    log only, since it would help a forger more than a user.

    Args:
        reason: Its reason.
        check: The check that failed, in a few words.
        bearer: Whom the token speaks for, once that is verified: `issuer`, `subject`, `token_id`.
    """

    def __init__(self, reason: str, check: str, **bearer: str) -> None:
        super().__init__(
            Code.UNAUTHENTICATED, reason, _MESSAGES[reason], for_log={"check": check, **bearer}
        )


def token_revoked(principal: Principal) -> TokenRefusedError:
    """UNAUTHENTICATED, because the access rules revoke the token."""
    return TokenRefusedError("TOKEN_REVOKED", "revoked", **bearer_of(principal))


def token_not_exchanged(principal: Principal) -> TokenRefusedError:
    """UNAUTHENTICATED, because a CI system's token has to be exchanged first."""
    return TokenRefusedError("TOKEN_NOT_EXCHANGED", "not exchanged", **bearer_of(principal))


def token_spent(principal: Principal) -> TokenRefusedError:
    """UNAUTHENTICATED, because a CI system's token was exchanged before."""
    return TokenRefusedError("TOKEN_SPENT", "exchanged before", **bearer_of(principal))


def token_not_exchangeable(principal: str, why: str) -> StudbookError:
    """FAILED_PRECONDITION, because there is no token for this caller."""
    return failed_precondition("TOKEN_NOT_EXCHANGEABLE", principal, why, principal=principal)


def stream_outlived_token(principal: Principal) -> TokenRefusedError:
    """UNAUTHENTICATED, because a call went on for longer than its token was good."""
    return TokenRefusedError("TOKEN_EXPIRED", "exp, while the call went on", **bearer_of(principal))


def issuer_unavailable(issuer: str) -> StudbookError:
    """UNAVAILABLE, because an issuer's keys cannot be had."""
    return _issuer_unavailable(issuer, f"The keys of the token's issuer {issuer} cannot be fetched")


def issuer_not_answering(issuer: str) -> StudbookError:
    """UNAVAILABLE, because an issuer cannot be asked about a token."""
    return _issuer_unavailable(issuer, f"The issuer {issuer} cannot be asked about the token")


def issuer_awaited(issuer: str) -> StudbookError:
    """UNAVAILABLE, because many others wait for an answer of the issuer already."""
    return _issuer_unavailable(issuer, f"Too many callers wait for an answer of {issuer} already")


def _issuer_unavailable(issuer: str, what: str) -> StudbookError:
    return unavailable("ISSUER_UNAVAILABLE", f"{what}; try again shortly.", issuer=issuer)


def service_unavailable(service: str) -> StudbookError:
    """UNAVAILABLE, because a service behind the gateway cannot be reached."""
    return unavailable(
        "SERVICE_UNAVAILABLE",
        f"The {service} service cannot be reached at present; try again shortly.",
        service=service,
    )


def identity_too_busy(principal: str, limit: str, allowed: int, wait_s: float) -> StudbookError:
    """RESOURCE_EXHAUSTED, because one identity calls more than its share.

    Args:
        principal: Its id.
        limit: Name of the setting.
        allowed: Its value.
        wait_s: Seconds after which another attempt makes sense.
    """
    many = "calls a second" if limit.endswith("per_second") else "calls under way at a time"
    return StudbookError(
        Code.RESOURCE_EXHAUSTED,
        "RATE_LIMITED",
        f"{principal} has made more than its share of calls, {allowed} {many}; wait, then repeat.",
        metadata={"principal": principal, "limit": limit, "allowed": str(allowed)},
        retry_after_s=wait_s,
    )


def unknown_method(path: str) -> StudbookError:
    """UNIMPLEMENTED, because no contract has this RPC."""
    return StudbookError(
        Code.UNIMPLEMENTED,
        "UNKNOWN_METHOD",
        "This server has no such method; the client may be newer than the server, or older.",
        metadata={"method": path[:256]},
    )


def method_is_internal(path: str, principal: str, permission: str) -> StudbookError:
    """PERMISSION_DENIED, because only services may call this RPC."""
    return StudbookError(
        Code.PERMISSION_DENIED,
        "PERMISSION_MISSING",
        f"{path} is for services among themselves; {principal} cannot be granted {permission}.",
        metadata={
            "permission": permission,
            "resource": "**",
            "principal": principal,
            "roles": "",
        },
    )


def access_changed() -> StudbookError:
    """UNAVAILABLE, because a call goes on that the rules may no longer allow."""
    return unavailable(
        "ACCESS_CHANGED",
        "The caller's access changed while the call went on; call again, and what still holds is "
        "decided anew.",
    )


def groups_omitted(principal: str, issuer: str) -> StudbookError:
    """FAILED_PRECONDITION, because a token says that it leaves groups out that would matter."""
    return StudbookError(
        Code.FAILED_PRECONDITION,
        "GROUPS_OMITTED",
        f"{principal} is in more groups than the identity provider puts into a token, so it left "
        f"them out, and the access rules of the issuer {issuer} name groups. Have the provider put "
        "fewer groups into tokens for Studbook, e.g. only those assigned to the application.",
        metadata={"principal": principal, "issuer": issuer},
    )


def groups_too_many(principal: str, count: int, allowed: int) -> StudbookError:
    """FAILED_PRECONDITION, because a token names more groups than its issuer may name."""
    return StudbookError(
        Code.FAILED_PRECONDITION,
        "GROUPS_TOO_MANY",
        f"The token of {principal} names {count} groups, and at most {allowed} are taken "
        "(`most_groups` in the server's access.yaml). Have the identity provider name fewer "
        "groups.",
        metadata={"groups": str(count), "allowed_groups": str(allowed), "principal": principal},
    )


def groups_too_long(principal: str, count: int, size: int, allowed: int) -> StudbookError:
    """FAILED_PRECONDITION, because the groups in a token are too long to be passed on."""
    return StudbookError(
        Code.FAILED_PRECONDITION,
        "GROUPS_TOO_MANY",
        f"The token of {principal} names {count} groups, {size} bytes of names, and at most "
        f"{allowed} bytes can be passed on. Have the identity provider name fewer groups.",
        metadata={
            "groups": str(count),
            "bytes": str(size),
            "allowed_bytes": str(allowed),
            "principal": principal,
        },
    )


def grants_too_many(principal: str, count: int, size: int, allowed: int) -> StudbookError:
    """FAILED_PRECONDITION, because what a caller is bound to is too long to be passed on."""
    return StudbookError(
        Code.FAILED_PRECONDITION,
        "GROUPS_TOO_MANY",
        f"The access rules bind {principal} and its groups to {count} resource patterns, which "
        f"takes {size} bytes to pass on, and at most {allowed} can be. Bind them to fewer and "
        "wider patterns.",
        metadata={
            "grants": str(count),
            "bytes": str(size),
            "allowed_bytes": str(allowed),
            "principal": principal,
        },
    )


def permission_held_nowhere(permission: str, principal: str, roles: str) -> StudbookError:
    """PERMISSION_DENIED, because the caller holds the permission on no resource at all."""
    return StudbookError(
        Code.PERMISSION_DENIED,
        "PERMISSION_MISSING",
        f"{principal} holds the permission {permission} on no resource. "
        f"Roles that contain it: {roles}.",
        metadata={
            "permission": permission,
            "resource": "**",
            "principal": principal,
            "roles": roles,
        },
    )
