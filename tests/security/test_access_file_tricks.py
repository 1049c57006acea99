"""Whatever stands in access.yaml, the gateway reads it as its author meant it, or not at all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.access_checks import AccessFileError
from gateway.access_watch import AccessRulesFile
from tests.security.rules import ISSUERS, access_rules

if TYPE_CHECKING:
    from pathlib import Path

GOOD = access_rules({name: f"https://{name}.example" for name in ISSUERS})
# How long the worst file may keep the gateway from its work.
LONGEST_S = 15
HEAD = "version: 1\nissuers: {a: {url: 'https://login.example', kind: people, audience: x}}\n"


def _laughs(link: str) -> str:
    """Nine times nine times nine of the same, and so on."""
    lines = ["a0: &a0 " + link.format("1")]
    for number in range(1, 12):
        items = ", ".join([f"*a{number - 1}"] * 9)
        lines.append(f"a{number}: &a{number} {link.format(items)}")
    return "\n".join(lines)


# What stands in the file, and a part of what its author is told.
TRICKS: dict[str, tuple[str | bytes, str]] = {
    "no text": (b"\xff\xfe\x00", "cannot be read"),
    "broken UTF-8": (HEAD.encode() + b"# \xc3(\n", "cannot be read"),
    "overlong UTF-8": (HEAD.encode() + b"# \xc0\xaf\n", "cannot be read"),
    "half a character": (HEAD.encode() + b"# \xed\xa0\x80\n", "cannot be read"),
    "null": (HEAD + "bindings: [\0]", "not allowed"),
    "escape sequence": (HEAD + "# \x1b[2J", "not allowed"),
    "nothing": ("", "must hold settings"),
    "a comment": ("# all of it\n", "must hold settings"),
    "a list": ("- version: 1", "must hold settings"),
    "two documents": (HEAD + "---\n" + HEAD, "another document"),
    "billions of values by aliases": (_laughs("[{}]"), "aliases"),
    "billions of values by merging": (
        "a0: &a0 {k: 1}\n"
        + "\n".join(
            f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}" for n in range(1, 12)
        ),
        "aliases",
    ),
    "an alias of itself": ("a: &a [*a]", "contains itself"),
    "an alias of nothing": ("a: *b", "undefined alias"),
    "nested in lists": ("a: " + "[" * 1200, "nested too deeply"),
    "nested in mappings": ("a: " + "{a: " * 1200, "nested too deeply"),
    "nested by indents": (
        "\n".join(" " * level + "a:" for level in range(1200)), "nested too deeply"
    ),
    "a program": ("version: !!python/object/apply:os.system ['id']", "could not determine"),
    "a program's name": ("version: !!python/name:os.system", "could not determine"),
    "an object": (HEAD + "roles: !!python/object:gateway.Rules {}", "could not determine"),
    "a tag of its own": (HEAD + "roles: !include /etc/passwd", "could not determine"),
    "broken base64": ("version: !!binary x", "base64"),
    "a set": (HEAD + "bindings: !!set {a, b}", "must hold settings"),
    "a number of 5000 digits": ("version: " + "1" * 5000, "digits"),
    "a hexadecimal number without end": ("version: 0x" + "f" * 100_000, "integer"),
    "another version": (HEAD.replace("version: 1", "version: 2"), "should be 1"),
    "not a number": (HEAD.replace("version: 1", "version: .nan"), "should be 1"),
    "the number 81 in sixties": (HEAD.replace("version: 1", "version: 1:21"), "should be 1"),
    "a date that does not exist": (HEAD + "bindings: 2026-02-30", "day is out of range"),
    "a key twice": (HEAD + "version: 1", "stands here and on line 1"),
    "a key twice in other quotes": (HEAD + "'version': 1", "stands here and on line 1"),
    "a key twice by an escape": (HEAD + '"\\x76ersion": 1', "stands here and on line 1"),
    "a key twice deep inside": (
        HEAD.replace("kind: people", "kind: people, kind: pipelines"), "stands here and on line 2"
    ),
    "two merges": (HEAD + "x: &x {a: 1}\nroles:\n  <<: *x\n  <<: *x", "stands here"),
    "a list for a key": ("? [a]\n: b", "unhashable"),
    "a mapping for a key": ("? {a: b}\n: c", "unhashable"),
    "merging of a number": (HEAD + "<<: 3", "mapping"),
    "an unknown setting": (HEAD + "admins: ['*']", "not a setting"),
    "a setting in capitals": (HEAD + "Bindings: []", "not a setting"),
    "a setting with a homoglyph": (HEAD + "bind\u0456ngs: []", "not a setting"),
    "issuer with a homoglyph": (HEAD.replace("login.", "l\u043egin."), "in ASCII"),
    "issuer with a port beyond": (HEAD.replace("login.example", "login.example:99999"), "Port"),
    "issuer with a user": (HEAD.replace("login.", "a@login."), "only"),
    "issuer by http": (HEAD.replace("https:", "http:"), "https"),
    "issuer in a file": (HEAD.replace("https://login.example", "file:///etc/passwd"), "https"),
    "issuer's name with a line end": (HEAD.replace("{a: {", '{"a\\n": {'), "pattern"),
    "issuer's name with a homoglyph": (HEAD.replace("{a: {", "{\u0430: {"), "pattern"),
    "audience with what cannot be seen": (
        HEAD.replace("audience: x", "audience: 'x\u200b'"), "cannot be seen"
    ),
    "HMAC": (HEAD.replace("kind:", "algorithms: [HS256], kind:"), "'RS256'"),
    "no algorithm": (HEAD.replace("kind:", "algorithms: [none], kind:"), "'RS256'"),
}  # fmt: skip
_ENTRIES = {
    "member with a homoglyph": ("viewer", "user:a:\u0430da", "**", "several scripts"),
    "member with a full-width letter": ("viewer", "user:a:\uff41da", "**", "several scripts"),
    "member with what cannot be seen": ("viewer", "user:a:ada\u200b", "**", "cannot be seen"),
    "member written backwards": ("viewer", "user:a:\u202eada", "**", "cannot be seen"),
    "member with a space": ("viewer", "user:a:ada ", "**", "cannot be seen"),
    "member's issuer with a homoglyph": ("viewer", "user:\u0430:ada", "**", "issuer"),
    "member's kind with a homoglyph": ("viewer", "us\u0435r:a:ada", "**", "several scripts"),
    "everybody": ("viewer", "*", "**", "is not a member"),
    "every user": ("viewer", "user:*", "**", "is not a member"),
    "role with a homoglyph": ("r\u0435leaser", "user:a:ada", "**", "several scripts"),
    "role in capitals": ("ADMIN", "user:a:ada", "**", "is not a role"),
    "resource with an escape": ("viewer", "user:a:ada", "workspaces%2Fmain", "resource pattern"),
    "resource with a homoglyph": ("viewer", "user:a:ada", "workspaces/m\u0430in", "scripts"),
    "resource in capitals": ("viewer", "user:a:ada", "workspaces/MAIN", "resource pattern"),
    "resource with ** inside": ("viewer", "user:a:ada", "workspaces/**/models", "pattern"),
    "resource as a regular expression": ("viewer", "user:a:ada", "workspaces/(main|x)", "pattern"),
    "resource with a slash at the end": ("viewer", "user:a:ada", "workspaces/main/", "pattern"),
}
for _name, (_role, _member, _resource, _said) in _ENTRIES.items():
    _binding = {"role": _role, "members": [_member], "resources": [_resource]}
    TRICKS[_name] = HEAD + yaml.safe_dump({"bindings": [_binding]}), _said


def read(folder: Path, content: str | bytes) -> str:
    """What the author is told; empty when the file is accepted."""
    path = folder / "access.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    told = ""
    try:
        AccessRulesFile(path, lambda _rules: None)
    except AccessFileError as error:
        told = str(error)
    assert not told or "access.yaml" in told
    return told


def test_without_a_trick_it_is_read(tmp_path: Path) -> None:
    assert read(tmp_path, HEAD) == read(tmp_path, GOOD) == ""


@pytest.mark.parametrize("trick", TRICKS)
def test_refused(tmp_path: Path, trick: str) -> None:
    content, said = TRICKS[trick]
    began = time.monotonic()
    assert said in read(tmp_path, content)
    assert time.monotonic() - began < LONGEST_S


FUZZED = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@FUZZED
@given(st.binary(max_size=300))
def test_bytes_at_random(tmp_path: Path, content: bytes) -> None:
    assert read(tmp_path, content)


@FUZZED
@given(
    st.integers(0, len(GOOD) - 1), st.integers(0, 40), st.text(max_size=8)
)  # fmt: skip
def test_good_file_with_a_part_changed(tmp_path: Path, start: int, length: int, put: str) -> None:
    """It is accepted or refused with words, and never gives anybody a permission beside."""
    changed = GOOD[:start] + put + GOOD[start + length :]
    try:
        content = changed.encode()
    except UnicodeEncodeError:
        return
    read(tmp_path, content)


VALUES: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.dates(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@FUZZED
@given(st.sampled_from(sorted(yaml.safe_load(GOOD))), VALUES)
def test_any_value_in_place_of_a_section(tmp_path: Path, section: str, value: Any) -> None:
    content = yaml.safe_dump({**yaml.safe_load(GOOD), section: value}, allow_unicode=False)
    harmless = section in {"pipelines", "bindings"} and value in ([], {})
    told = read(tmp_path, content)
    assert told or harmless or (section == "version" and value == 1)
