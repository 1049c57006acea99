"""Principals as they are written into rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from service_chassis.caller import Principal


def principal_document(principal: Principal) -> dict[str, Any]:
    """The principal as a JSON document."""
    return asdict(principal)


def principal_record(document: dict[str, Any]) -> Principal:
    """The principal that was written."""
    return Principal(**document)
