"""Secrets are taken out of what is recorded, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studbook.redaction import (
    command_line_without_secrets,
    has_secret,
    look_at_variables,
    without_credentials,
    without_remote_credentials,
    without_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

KEY = "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nabc==\n-----END RSA PRIVATE KEY-----"
TOKENS = [
    "ghp_0123456789abcdefghijABCDEFGHIJ456789",
    "github_pat_11ABCDEFG0123456789_abcdefghijklmnop",
    "glpat-abcdefghij0123456789",
    "AKIAIOSFODNN7EXAMPLE",
    "xoxb-123456789012-abcdefghij",
    "AIzaSyA0123456789abcdefghijklmnopqrstuv",
    "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl",
    "hf_abcdefghijklmnopqrstuvwxyz",
    "sk-proj-abcdefghijklmnopqrstuv",
    "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    KEY,
]
LETTERS = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
SECRETS = st.text(LETTERS, min_size=12, max_size=30).map(lambda text: f"Zq{text}")


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("--password=x", "--password=***"),
        ("--db.password=x", "--db.password=***"),
        ("api_key=x", "api_key=***"),
        ("+trainer.key=x", "+trainer.key=***"),
        ("AWS_SECRET_ACCESS_KEY=x", "AWS_SECRET_ACCESS_KEY=***"),
        ("--hf-token=x", "--hf-token=***"),
        ("Authorization: Bearer x", "Authorization:***"),
        ("--header=Authorization: Bearer abcdef", "--header=Authorization: ***"),
        ("--set=db.password=x", "--set=db.password=***"),
        ('--config={"api_key": "abc", "lr": 1}', '--config={"api_key": "***", "lr": 1}'),
        ("--db_pw=x", "--db_pw=***"),
        ("--jwt=x", "--jwt=***"),
        ("--token=123456", "--token=***"),
        ("--pad-tokens=x", "--pad-tokens=***"),
        ("--max-tokens=512", "--max-tokens=512"),
        ("--token_limit=5", "--token_limit=5"),
        ("--tokenizer=gpt2", "--tokenizer=gpt2"),
        ("--webhook=https://hooks.slack.com/services/T0/B0/abcdef", "--webhook=https://***"),
        ("--lr=0.1", "--lr=0.1"),
        ("--monkey=1", "--monkey=1"),
        ("--keyboard=1", "--keyboard=1"),
        ("https://ada:pw@example.com/x", "https://example.com/x"),
        ("--data=postgresql://ada:pw@db/x", "--data=postgresql://db/x"),
        ("--note=eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2ln", "--note=***"),
        ("train.py", "train.py"),
    ],
)
def test_secrets_are_taken_out_of_arguments(given: str, shown: str) -> None:
    assert command_line_without_secrets([given]) == [shown]


def test_the_value_after_a_secret_option_is_hidden() -> None:
    line = ["train.py", "--api-key", "abc", "--token", "--lr", "0.1", "-password", "x"]
    assert command_line_without_secrets(line) == [
        "train.py", "--api-key", "***", "--token", "--lr", "0.1", "-password", "***",
    ]  # fmt: skip
    line = ["--max-tokens", "512", "--user", "ada:pw", "-u", "https://a.example", "--hf-token", "7"]
    assert command_line_without_secrets(line) == [
        "--max-tokens", "512", "--user", "ada:***", "-u", "https://a.example", "--hf-token", "***",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("https://ada:ghp_x@example.com/a/b.git", "https://example.com/a/b.git"),
        ("https://token@example.com/a.git", "https://example.com/a.git"),
        ("ssh://git@example.com/a.git", "ssh://git@example.com/a.git"),
        ("ssh://ada:pw@example.com:22/a.git", "ssh://example.com:22/a.git"),
        ("https://git@example.com/a.git", "https://example.com/a.git"),
        ("https://ada:p/w@example.com/a.git", "https://example.com/a.git"),
        ("https://h/x?token=abc&page=2", "https://h/x?token=***&page=2"),
        ("https://h/x#access_token=abc", "https://h/x#access_token=***"),
        ("https://h/x?X-Amz-Signature=abc&sig=d", "https://h/x?X-Amz-Signature=***&sig=***"),
        ("https://h/@scope/package", "https://h/@scope/package"),
        ("http://[::1]:80/x", "http://[::1]:80/x"),
        ("https://[::1", "***"),
        ("https://ada:pw", "***"),
    ],
)
def test_credentials_are_taken_out_of_addresses(given: str, shown: str) -> None:
    assert without_credentials(given) == shown


@pytest.mark.parametrize(
    ("remote", "shown"),
    [
        ("git@example.com:a/b.git", "git@example.com:a/b.git"),
        ("ada@example.com:a/b.git", "example.com:a/b.git"),
        ("ghp_secret:x-oauth-basic@example.com:a/b.git", "example.com:a/b.git"),
        ("https://ada:pw@example.com/a.git", "https://example.com/a.git"),
        ("codecommit::https://ada:pw@example.com/a.git", "codecommit::https://example.com/a.git"),
        ("/srv/git/a@b.git", "/srv/git/a@b.git"),
    ],
)
def test_remotes_keep_no_credentials(remote: str, shown: str) -> None:
    assert without_remote_credentials(remote) == shown


@pytest.mark.parametrize("token", TOKENS)
def test_tokens_of_issuers_are_found_wherever_they_stand(token: str) -> None:
    assert without_secrets(f"login with '{token}' now") == "login with '***' now"
    assert has_secret(f"KEY = '{token}'")


@pytest.mark.parametrize(
    "text",
    [
        "plain words",
        "epoch 3 tokens/s=12345 token: 17 token=3.5 loss=0.1",
        "the secretary keeps a key and a passport",
        "risk-averse-learning-of-very-long-policies",
        "https://example.com/a/b?page=2#top 10:30",
        "a\nb\n",
    ],
)
def test_ordinary_text_stays(text: str) -> None:
    assert without_secrets(text) == text
    assert not has_secret(text)


def test_bytes_that_are_no_text_become_question_marks() -> None:
    assert without_secrets(b"caf\xc3\xa9 \xff".decode(errors="surrogateescape")) == "café ?"


@pytest.mark.parametrize("template", ["postgresql://{user}:{password}@db/x", "http://h:80/x"])
def test_templates_of_addresses_are_no_secrets(template: str) -> None:
    assert not has_secret(template)


@given(SECRETS)
def test_no_secret_is_left(secret: str) -> None:
    texts = [
        f"https://ada:{secret}@example.com/x",
        f"postgresql://{secret}@db:5432/x",
        f"https://h/x?api_key={secret}",
        f"password={secret}",
        f'{{"secret": "{secret}"}}',
        f"Authorization: Bearer {secret}",
        f"curl -H 'authorization: token {secret}' x",
        f"access_key: {secret}, other",
        f"hf_{secret}{secret}",
    ]
    assert secret not in " ".join(without_secrets(text) for text in texts)
    line = ["x", "--password", secret, f"--token={secret}", f"api_key={secret}", *texts]
    assert secret not in " ".join(command_line_without_secrets(line))


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {
        "DB_PASSWORD": "Tr0ub4dor&3",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "SERVICE_TOKEN_FILE": "/run/secrets/token1",
        "SORT_KEY": "created_at",
        "SIGNING_KEY": "/etc/keys/signing1.pem",
        "API_KEY": "abc123",
        "MAX_TOKENS": "123456789",
        "HOME_TOWN": "Ulm12345678",
    }.items():
        monkeypatch.setenv(name, value)
    look_at_variables()
    yield
    monkeypatch.undo()
    look_at_variables()


@pytest.mark.usefixtures("variables")
def test_what_secret_variables_hold_is_blotted_out_everywhere() -> None:
    assert without_secrets("connect with Tr0ub4dor&3 now") == "connect with *** now"
    key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    assert command_line_without_secrets(["train.py", key, f"--x={key}"]) == [
        "train.py",
        "***",
        "--x=***",
    ]
    assert has_secret(f"value = '{key}'")


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize(
    "text",
    ["/run/secrets/token1", "created_at", "/etc/keys/signing1.pem", "abc123", "123456789",
     "Ulm12345678"],
)  # fmt: skip
def test_what_other_variables_hold_stays(text: str) -> None:
    assert without_secrets(text) == text
    assert not has_secret(text)
