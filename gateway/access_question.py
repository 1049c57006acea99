"""A question about access, as somebody asks it: may I do this, there?"""

from __future__ import annotations

import re

from service_chassis.errors import invalid_field, required_field
from service_chassis.permissions import PERMISSIONS
from service_chassis.resource_names import check_length

_RESOURCE = re.compile(r"workspaces/[a-z0-9][a-z0-9._+-]*(/[a-z][a-z-]*/[a-zA-Z0-9][\w.+-]*)*")


def check_question(permission: str, resource: str) -> None:
    """Refuse a question that has no answer.

    Raises:
        StudbookError: INVALID_ARGUMENT; there is no such permission, or the name of the resource
            is not one.
    """
    if not permission:
        raise required_field("permission", "name the permission to test")
    if permission not in PERMISSIONS:
        known = ", ".join(sorted(PERMISSIONS))
        raise invalid_field("permission", permission, f"permissions are {known}")
    if not resource:
        raise required_field("resource", "name the resource to test it on")
    check_length(resource, "resource")
    if not _RESOURCE.fullmatch(resource):
        pattern = "workspaces/{workspace}/{collection}/{id}/..."
        raise invalid_field(
            "resource",
            resource,
            f"write a resource name, {pattern}",
            reason="RESOURCE_NAME_INVALID",
            pattern=pattern,
        )
