"""The server of a service behind the gateway, which believes signed assertions alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from service_chassis.assertion import AssertionSigner, AssertionVerifier
from service_chassis.call_pipeline import CallPipeline
from service_chassis.followed_files import FollowedFiles
from service_chassis.server import Server

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from service_chassis.service_settings import ServiceSettings


def service_server(
    area: str, settings: ServiceSettings, followed: Sequence[FollowedFiles] = ()
) -> Server:
    """A server for one area of the contracts.

    Args:
        area: `tracking` or `registry`.
        settings: Where to serve, and whose assertions to believe. Files with keys that change are
            read again.
        followed: Further files to look after.

    Raises:
        SystemExit: A file that a setting names cannot be used.
    """
    verifier = AssertionVerifier(area, {})
    keys = FollowedFiles(
        "assertion_trusted_keys",
        settings.assertion_trusted_keys.values(),
        lambda: verifier.trust(settings.trusted_keys()),
    )
    return Server(settings, [CallPipeline(verifier)], [area], [keys, *followed])


def followed_signer(component: str, private_key: Path) -> tuple[AssertionSigner, FollowedFiles]:
    """What signs a component's assertions, and its key file, which may be replaced.

    Raises:
        SystemExit: The file holds no Ed25519 private key.
    """
    try:
        signer = AssertionSigner(component, private_key.read_bytes())
    except (OSError, ValueError) as error:
        message = f"{private_key} is not a usable Ed25519 key: {error}"
        raise SystemExit(message) from None
    files = FollowedFiles(
        "assertion_private_key", [private_key], lambda: signer.use(private_key.read_bytes())
    )
    return signer, files
