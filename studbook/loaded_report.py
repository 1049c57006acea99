"""Telling the server what was loaded here: evidence of what is in use, beside the stage."""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

from studbook.exceptions import StudbookError
from studbook.registry.v1 import serving_service_pb2

if TYPE_CHECKING:
    from studbook.client import Client

_log = logging.getLogger("studbook")

_LONGEST_INSTANCE = 128
# Whoever loads a model is not kept waiting for this.
_TIMEOUT_S = 5.0


def this_instance() -> str:
    """What this program calls itself in reports: STUDBOOK_INSTANCE, or else the host's name."""
    name = os.environ.get("STUDBOOK_INSTANCE") or socket.gethostname() or "unnamed"
    printable = "".join(character for character in name if character.isprintable())
    return printable[:_LONGEST_INSTANCE] or "unnamed"


def send(
    client: Client, version: str, digest: str, instance: str = ""
) -> serving_service_pb2.ReportLoadedResponse:
    """Tell the server that a version was loaded.

    Repeat it every few minutes in a program that serves for long, as a sign of life.

    Args:
        client: Connection.
        version: Resource name of the version.
        digest: Digest of the files that were loaded, as `Version.digest`.
        instance: What loaded it; default: `this_instance()`.

    Returns:
        The report as kept, and which version is in Production.

    Raises:
        StudbookError: As in the contract.
    """
    request = serving_service_pb2.ReportLoadedRequest(
        version=version, digest=digest, instance=instance or this_instance()
    )
    return client.serving.ReportLoaded(request, timeout=_TIMEOUT_S)


def try_to_send(client: Client, version: str, digest: str) -> bool:
    """Tell the server that a version was loaded; False, and a line in the log, when that fails."""
    try:
        send(client, version, digest)
    except StudbookError as error:
        _log.warning("The server was not told that %s was loaded: %s", version, error)
        return False
    return True
