"""Etags: short fingerprints that guard against lost updates."""

from __future__ import annotations

import hashlib

from service_chassis.errors import etag_mismatch


def etag_of(*parts: object) -> str:
    """The etag of a resource from the parts that make up its state, in a fixed order.

    The parts must have a stable text form: texts, numbers, booleans, None and tuples of these.
    """
    # repr keeps ("a", "bc") and ("ab", "c") apart.
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def check_etag(given: str, current: str, resource: str) -> None:
    """Make sure that a resource is as the caller last read it; an empty etag means any.

    Raises:
        StudbookError: ABORTED, ETAG_MISMATCH.
    """
    if given and given != current:
        raise etag_mismatch(resource, current)
