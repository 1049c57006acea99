"""What metadata passes the gateway, in either direction: a list of keys, and nothing else.

A client must not be able to speak in the gateway's name. Appending our own entry would not do, as
the service would see both; so whatever is not on the list is left behind.
"""

from __future__ import annotations

import re
import uuid
from typing import TYPE_CHECKING

from service_chassis.assertion import METADATA_KEY as ASSERTION_KEY
from service_chassis.call_pipeline import REQUEST_ID_KEY, STREAM_ACCEPTED
from service_chassis.status_details import DETAILS_KEY

if TYPE_CHECKING:
    from collections.abc import Iterable

    from service_chassis.caller import Metadata

_FORWARDED = ("traceparent", "tracestate", "studbook-client")
_LONGEST_VALUE = 512
_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
# Set by the transport itself; sent by hand they break the answer.
_TRANSPORT_KEYS = frozenset({"content-type", "user-agent", "te", "connection", "host"})
_BETWEEN_US = frozenset({ASSERTION_KEY, STREAM_ACCEPTED[0][0]})


def request_id_of(metadata: Metadata) -> str:
    """The id that the client gave its request, or a new one."""
    given = [str(value) for key, value in metadata if key == REQUEST_ID_KEY]
    if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]):
        return given[0]
    return uuid.uuid4().hex


def to_service(metadata: Metadata, request_id: str, assertion: str) -> Metadata:
    """What the service gets of a client's metadata, with the gateway's own."""
    passed: dict[str, str | bytes] = {REQUEST_ID_KEY: request_id}
    for key, value in metadata:
        if key in _FORWARDED and len(value) <= _LONGEST_VALUE:
            passed.setdefault(key, value)
    if assertion:
        passed[ASSERTION_KEY] = assertion
    return tuple(passed.items())


def to_client(metadata: Iterable[tuple[str, str | bytes]]) -> Metadata:
    """What the client gets of a service's initial or trailing metadata."""
    return tuple(
        (key, value)
        for key, value in metadata
        if key == DETAILS_KEY
        or not (key.startswith((":", "grpc-")) or key in _TRANSPORT_KEYS or key in _BETWEEN_US)
    )
