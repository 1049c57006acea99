"""Actors as they stand in the database."""

from __future__ import annotations

import json
from functools import lru_cache

from service_chassis.caller import Principal


@lru_cache(maxsize=4096)
def read_actor(principal_json: str) -> Principal:
    """The actor that was written as JSON."""
    members = json.loads(principal_json)
    return Principal(**{**members, "kind": members["kind"].lower()})
