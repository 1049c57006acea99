"""Update masks: which fields a caller wants to change."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from service_chassis.errors import invalid_field

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.field_mask_pb2 import FieldMask
    from google.protobuf.message import Message

ALL = "*"


def changed_paths(
    mask: FieldMask,
    message: Message,
    allowed: frozenset[str],
    elsewhere: Mapping[str, str] = MappingProxyType({}),
) -> set[str]:
    """The fields of a message that an update is to change.

    Args:
        mask: The request's `update_mask`. Empty: the allowed fields that are set in the message;
            `*`: all allowed fields, so that those that are not set are cleared.
        message: The resource in the request.
        allowed: The fields that can be changed.
        elsewhere: What to say of certain other fields: how else they are changed, or why never.

    Raises:
        StudbookError: UPDATE_MASK_INVALID for a path that is not allowed.
    """
    if not mask.paths:
        return {field.name for field, _ in message.ListFields()} & allowed
    for path in mask.paths:
        if path != ALL and path not in allowed:
            remedy = f"fields that can be changed: {', '.join(sorted(allowed))}"
            raise invalid_field(
                "update_mask",
                path,
                f"{elsewhere[path]}; {remedy}" if path in elsewhere else remedy,
                reason="UPDATE_MASK_INVALID",
                path=path,
            )
    return set(allowed) if ALL in mask.paths else set(mask.paths)
