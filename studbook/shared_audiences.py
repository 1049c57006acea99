"""Audiences for which tokens are made to log in at other services.

A server that takes such tokens can be shown one that was made for that service; and a job that
makes one for whoever asks gives away what it may do there. So servers refuse them in access rules,
and the SDK never asks a CI system for one.
"""

from __future__ import annotations

from urllib.parse import urlsplit

_NAMES = frozenset(
    {
        "sigstore", "pypi", "testpypi", "vault", "sts.amazonaws.com",
        "api://azureadtokenexchange", "npm:registry.npmjs.org",
    }
)  # fmt: skip
_HOSTS = frozenset(
    {
        "github.com", "gitlab.com", "buildkite.com", "circleci.com", "oidc.circleci.com",
        "agent.buildkite.com", "iam.googleapis.com", "kubernetes.default.svc",
        "kubernetes.default.svc.cluster.local", "kubernetes.default",
    }
)  # fmt: skip


def host_of(audience: str) -> str:
    """The host that an audience names, as a URL or without a scheme; empty when it is no such."""
    try:
        parts = urlsplit(audience if "://" in audience else f"//{audience.lstrip('/')}")
    except ValueError:
        return ""
    return parts.hostname or ""


def is_of_login(audience: str) -> bool:
    """Whether workflows ask for tokens with this audience to log in at a well-known service."""
    return audience.lower() in _NAMES


def is_of_service(audience: str) -> bool:
    """Whether tokens with this audience are made by default, or for a well-known service."""
    return host_of(audience) in _HOSTS
