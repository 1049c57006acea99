"""No text, however it is made, gets anything but the one refusal out of a parser."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.access_checks import AccessFileError, read_access_file
from gateway.token_shape import MalformedTokenError, parse_object, take_apart
from tests.unit.gateway.loopback_issuer import b64

HEADER = {"alg": "RS256", "kid": "k", "typ": "JWT"}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.text() | st.from_regex(r"[A-Za-z0-9_=+/-]*(\.[A-Za-z0-9_=+/-]*){0,4}", fullmatch=True))
def test_any_text_as_token(text: str) -> None:
    with pytest.raises(MalformedTokenError):
        take_apart(text)


@given(header=json_values, claims=json_values)
def test_any_json_as_token(header: object, claims: object) -> None:
    parts = (b64(json.dumps(part).encode()) for part in (header, claims))
    with pytest.raises(MalformedTokenError):
        take_apart(".".join((*parts, "c2ln")))


@given(st.dictionaries(st.text(), json_values))
def test_claims_survive(claims: dict[str, object]) -> None:
    text = json.dumps({**claims, "iss": "https://a.example"}).encode()
    with contextlib.suppress(MalformedTokenError):
        token = take_apart(f"{b64(json.dumps(HEADER).encode())}.{b64(text)}.c2ln")
        assert token.claims == json.loads(text)


@given(st.binary())
def test_any_bytes_as_json(data: bytes) -> None:
    with contextlib.suppress(MalformedTokenError):
        assert isinstance(parse_object(data), dict)


@given(
    st.text()
    | st.text(alphabet="abc:-[]{}&*!|>'\"#?%@ \n\t12", max_size=60)
    | json_values.map(json.dumps)
)
def test_any_text_as_access_file(text: str) -> None:
    with pytest.raises(AccessFileError):
        read_access_file(text)


@pytest.mark.parametrize("text", ["[" * 5000, "a: 2024-99-99", "? [a]\n: b", "--- a\n--- b", "\0"])
def test_awkward_yaml(text: str) -> None:
    with pytest.raises(AccessFileError):
        read_access_file(text)
