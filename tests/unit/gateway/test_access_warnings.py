"""What an access file may say and most likely was not meant to is told with its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gateway.access_checks import read_access_file
from gateway.access_warnings import COLLECTIONS, access_warnings

PROTOS = Path(__file__).parents[3] / "protos"
NOW = 1_700_000_000.0
BASE = """
version: 1
issuers:
  corp: {url: "https://a.example", kind: people, audience: x, groups_prefix: sb-}
"""
ADA = "members: ['user:corp:ada']"
ALL = "resources: ['**']"


def told(text: str) -> list[tuple[str, str]]:
    file = read_access_file(BASE + text)
    return [(".".join(map(str, path)), words) for path, words in access_warnings(file, NOW)]


@pytest.mark.parametrize(
    ("entries", "place", "said"),
    [
        (f"bindings: [{{role: viewer, {ADA}, {ALL}, until: 2020-01-01T00:00:00Z}}]",
         "bindings.0.until", "has passed"),
        (f"denials: [{{{ADA}, {ALL}, until: 2020-01-01T00:00:00Z}}]", "denials.0.until", "passed"),
        (f"bindings: [{{role: viewer, members: ['group:corp:x'], {ALL}}}]",
         "bindings.0.members.0", 'begin with "sb-"'),
        (f"bindings: [{{role: admin, members: ['group:corp:sb-x'], {ALL}}}]",
         "bindings.0.members.0", "everything everywhere"),
        (f"bindings: [{{role: viewer, {ADA}, resources: [workspaces/a/model/**]}}]",
         "bindings.0.resources.0", "covers nothing: in a workspace there are"),
        (f"bindings: [{{role: viewer, {ADA}, resources: [workspaces/a/models/b/version/**]}}]",
         "bindings.0.resources.0", "covers nothing: in models there are"),
        (f"bindings: [{{role: viewer, {ADA}, resources: [workspaces/a/policies/b/x/**]}}]",
         "bindings.0.resources.0", "covers nothing: in policies there are no others"),
        (f"bindings: [{{role: viewer, {ADA}, resources: [workspaces/a/models/b]}}]",
         "bindings.0.resources.0", 'write "workspaces/a/models/b/**"'),
        (f"bindings: [{{role: viewer, {ADA}, {ALL}}}]\ndenials: [{{{ADA}, {ALL}}}]",
         "bindings.0.members.0", "gains nothing on **"),
        ("roles: {own: [runs.read]}", "roles.own", "bound to nobody"),
    ],
)  # fmt: skip
def test_suspicious(entries: str, place: str, said: str) -> None:
    assert [(where, True) for where, words in told(entries) if said in words] == [(place, True)]


@pytest.mark.parametrize(
    "entries",
    [
        f"bindings: [{{role: admin, {ADA}, {ALL}}}]",
        "bindings: [{role: admin, members: ['group:corp:sb-x'], resources: [workspaces/a/**]}]",
        f"bindings: [{{role: viewer, {ADA}, {ALL}, until: 2100-01-01T00:00:00Z}}]",
        f"bindings: [{{role: viewer, {ADA}, resources: [workspaces/*/mod*/b*/**]}}]",
        f"bindings: [{{role: viewer, {ADA}, resources: [workspaces/a/models/b/versions/1.0.0]}}]",
        (
            f"bindings: [{{role: viewer, {ADA}, {ALL}}}]\n"
            f"denials: [{{{ADA}, {ALL}, permissions: [runs.read]}}]"
        ),
        (
            f"bindings: [{{role: viewer, {ADA}, {ALL}}}]\n"
            f"denials: [{{{ADA}, resources: [workspaces/a/**]}}]"
        ),
    ],
)
def test_not_suspicious(entries: str) -> None:
    assert told(entries) == []


def test_collections_are_those_of_the_contracts() -> None:
    name = re.compile(r"workspaces/\{workspace\}/([a-z]+)/\{[a-z]+\}(?:/([a-z]+)/\{)?")
    found = {
        (top, below)
        for proto in PROTOS.rglob("*.proto")
        for top, below in name.findall(proto.read_text())
    }
    known = {(top, below) for top, inner in COLLECTIONS.items() for below in ("", *inner)}
    assert found <= known
    assert {top for top, _ in found} == set(COLLECTIONS)
