"""Every RPC says what it takes to call it, in a way that servers can act on."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from service_chassis.method_access import Method, file_descriptors, method_table
from service_chassis.permissions import INTERNAL_PERMISSIONS, PERMISSIONS

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor

ROOT = Path(__file__).resolve().parents[2]
METHODS = sorted(method_table().values(), key=lambda method: method.path)
DESCRIPTORS = {
    f"/{service.full_name}/{method.name}": method
    for _, file in file_descriptors()
    for service in file.services_by_name.values()
    for method in service.methods
}


def method_id(method: Method) -> str:
    return method.path


@pytest.mark.parametrize("method", METHODS, ids=method_id)
def test_rule_is_complete(method: Method) -> None:
    rule = method.rule
    ways = [bool(rule.permission), rule.public, rule.any_caller]
    assert ways.count(True) == 1
    assert bool(rule.permission) == bool(rule.resource_field)


@pytest.mark.parametrize("method", METHODS, ids=method_id)
def test_permissions_exist(method: Method) -> None:
    known = INTERNAL_PERMISSIONS if method.rule.internal else PERMISSIONS
    assert set(method.permissions) <= known


@pytest.mark.parametrize("method", METHODS, ids=method_id)
def test_resource_field_is_a_string_of_the_request(method: Method) -> None:
    message: Descriptor | None = DESCRIPTORS[method.path].input_type
    for part in method.resource_path:
        assert message is not None
        field = message.fields_by_name[part]
        message = field.message_type
    if method.resource_path:
        assert field.cpp_type == field.CPPTYPE_STRING


@pytest.mark.parametrize("method", METHODS, ids=method_id)
def test_reads_declare_no_side_effects(method: Method) -> None:
    name = method.path.rsplit("/", 1)[1]
    verbs = (
        r"Get|List|Read|Compare|Explain|Verify|Resolve|Fetch|Find|Query|Download|WhoAmI|Watch"
        r"|TestAccess"
    )
    reading = re.match(verbs, name)
    assert method.read_only == bool(reading)


def test_every_service_of_the_contracts_is_served() -> None:
    sources = "".join(path.read_text() for path in (ROOT / "protos").rglob("*.proto"))
    declared = set(re.findall(r"^service (\w+) \{", sources, re.MULTILINE))
    served = {method.path.split("/")[1].rsplit(".", 1)[1] for method in METHODS}
    assert declared == served


def test_only_login_information_is_public() -> None:
    public = [method.path for method in METHODS if method.rule.public]
    assert public == ["/studbook.identity.v1.IdentityService/GetServerInfo"]
