"""Taking secrets out of what is recorded about a run."""

from __future__ import annotations

import os
import re
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

REDACTED = "***"

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase|code)?$|pwd?$|secret|jwt|credential|api[-_.]?key|access[-_.]?key"
    r"|private[-_.]?key|account[-_.]?key|encryption[-_.]?key|auth(orization)?$|bearer|cookie"
    r"|connection[-_.]?string|dsn$|(^|[-_.])pat$|(^|[-_.])key$|(^|[-_.])sig(nature)?$|token$|(?P<counted>token)(?!i[sz])",
    re.IGNORECASE,
)
# Variables that say where a secret is, or whose.
_NO_VALUE = re.compile(r"_?(FILE|PATH|DIR|NAME|ID|ISSUER|URI)$", re.IGNORECASE)
# What a variable holds is taken for a secret unless it is short, a path, or made of plain words.
_SHORTEST_VALUE = 8
_UNLIKE_WORDS = re.compile(r"^(?!/|[a-z]+([-_.][a-z]+)*$)")
# Language models count tokens, too.
_NUMBER = re.compile(r"-?\d{1,9}(\.\d+)?")
_USER_OPTIONS = frozenset({"-u", "--user", "--userpwd"})
# Forms that well-known issuers give their secrets, wherever they stand.
_SECRET_VALUE = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # JSON Web Token
    r"|gh[pousr]_\w{20,}|github_pat_\w{20,}|gl(?:pat|ptt|rt|dt|cbt)-[\w-]{16,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{30,}|ya29\.[\w-]{20,}|GOCSPX-[\w-]{20,}"
    r"|xox[abeoprs]-[\w-]{10,}|xapp-[\w-]{10,}|hf_\w{20,}|sk-[\w-]{20,}|[rs]k_(?:live|test)_\w{16,}"
    r"|hooks\.slack\.com/[\w/]{16,}|discord(?:app)?\.com/api/webhooks/[\w/-]{16,}"
    r"|npm_\w{30,}|pypi-[\w-]{40,}|dckr_pat_[\w-]{20,}|dop_v1_\w{40,}|SG\.[\w-]{16,}\.[\w-]{16,}"
    r")|-----BEGIN[ A-Z]*PRIVATE KEY-----"
    r"(?:[\s\S]{0,16384}?-----END[ A-Z]*PRIVATE KEY-----|[\s\S]{0,16384})"
)
# Without one of these nothing of the above or below can match; looking for them is much faster.
_VALUE_HINTS = (
    "eyJ", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "glptt-", "glrt-",
    "gldt-", "glcbt-", "AKIA", "ASIA", "AIza", "ya29.", "GOCSPX-", "xox", "xapp-", "hf_", "sk-",
    "k_live_", "k_test_", "npm_", "pypi-", "dckr_pat_", "dop_v1_", "SG.", "PRIVATE KEY-----",
    "hooks.slack.com", "/api/webhooks/",
)  # fmt: skip
_HEADER_HINTS = ("authorization", "bearer", "basic")
_NAME_HINTS = ("pass", "secret", "key", "credential", "token")
# A password in a URL may hold quotes; the rest of a URL ends at one.
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://(?:[^\s/?#@]*@)?[^\s'\"<>]*")
_HOST = re.compile(r"(\[[0-9a-fA-F:.%]+\]|[^\s:\[\]@]*)(:\d*)?")
_HEADER = re.compile(
    r"(\bauthorization[\"']?\s*[:=]\s*[\"']?)[^\s\"',]+(?:[ ]+[^\s\"',]+)?"
    r"|(\b(?:bearer|basic)\s+)[\w.~+/=-]{16,}",
    re.IGNORECASE,
)
_ASSIGNMENT = re.compile(r"(-{0,2}[+~]{0,2}[\w.@-]+)([=:])(.*)", re.DOTALL)
# In running text only what is assigned to an unmistakable name; numbers are counts of tokens.
_ASSIGNED_IN_TEXT = re.compile(
    r"((?:password|passwd|passphrase|secret|api[-_.]?key|(?:access|private|account)[-_.]?key"
    r"|credentials?|(?<![A-Za-z0-9])token)[\"']?\s*[:=]\s*[\"']?)"
    r"(?![\d.]+(?![\w-]))[^\s\"',;&)}\]]+",
    re.IGNORECASE,
)


def without_credentials(url: str) -> str:
    """A URL without user name, password, and without query values that look like secrets."""
    scheme, _, rest = url.partition("://")
    authority, tail = _split_authority(rest)
    if not _HOST.fullmatch(authority.rpartition("@")[2]):
        # A password with a slash that should have been encoded: it ends at the last @.
        authority, tail = _split_authority(rest.rpartition("@")[2])
        if "@" not in rest or not _HOST.fullmatch(authority):
            return REDACTED
    user, _, host = authority.rpartition("@")
    # What stands before the @ of an SSH address says which account of the host is meant.
    account = "git@" if user == "git" and "ssh" in scheme else ""
    return f"{scheme}://{account}{host}{_without_values(tail)}"


def _split_authority(rest: str) -> tuple[str, str]:
    end = next((index for index, letter in enumerate(rest) if letter in "/?#"), len(rest))
    return rest[:end], rest[end:]


def _without_values(tail: str) -> str:
    """A path with its query and fragment, in which a token may stand too."""
    parts = re.split(r"([?#&;])", tail)
    return "".join([parts[0], *(_without_value(part) for part in parts[1:])])


def _without_value(text: str) -> str:
    name, found, _ = text.partition("=")
    return f"{name}={REDACTED}" if found and _SECRET_NAME.search(name) else text


def without_remote_credentials(remote: str) -> str:
    """The address of a Git remote without credentials, in any form that Git knows.

    `git@host:path` stays as it is; any other user of that form is left out.
    """
    if "://" in remote:
        return without_secrets(remote)
    before, found, after = remote.partition("@")
    if found and "/" not in before and ":" in after:
        remote = remote if before == "git" else remote.rpartition("@")[2]
    return without_secrets(remote)


def has_secret(text: str) -> bool:
    """Whether text holds what is a secret wherever it stands, such as the password of a URL."""
    if any(hint in text for hint in _VALUE_HINTS) and _SECRET_VALUE.search(text):
        return True
    if any(value in text for value in _values_of_variables()):
        return True
    return "://" in text and any(_has_password(found[0]) for found in _URL.finditer(text))


def _has_password(url: str) -> bool:
    authority, _ = _split_authority(url.partition("://")[2])
    _, found, password = authority.rpartition("@")[0].partition(":")
    # `{password}`, `$PASSWORD` and `<password>` say where one is to be put.
    return bool(found and password) and not password.startswith(("{", "$", "<", "*"))


def without_secrets(text: str) -> str:
    """Text with what looks like a secret blotted out.

    Credentials in URLs, tokens of well-known issuers, private keys, authorisation headers, and
    what is assigned to a name such as `password` or `api_key`. Bytes that are no text, which paths
    and arguments may hold, become question marks.
    """
    if not text.isascii():
        text = text.encode(errors="replace").decode()
    text = without_tokens(text)
    small = text.lower()
    if any(hint in small for hint in _HEADER_HINTS):
        text = _HEADER.sub(lambda match: (match[1] or match[2]) + REDACTED, text)
    if any(hint in small for hint in _NAME_HINTS):
        text = _ASSIGNED_IN_TEXT.sub(lambda match: match[1] + REDACTED, text)
    return text


def without_tokens(text: str) -> str:
    """Text without what is a secret wherever it stands.

    Credentials in URLs, tokens of well-known issuers, private keys, and what variables of the
    environment hold that are named like a secret.
    """
    for value in _values_of_variables():
        if value in text:
            text = text.replace(value, REDACTED)
    if "://" in text:
        text = _URL.sub(lambda match: without_credentials(match[0]), text)
    if any(hint in text for hint in _VALUE_HINTS):
        text = _SECRET_VALUE.sub(REDACTED, text)
    return text


def look_at_variables() -> None:
    """Go, from now on, by the variables of the environment as they are now."""
    _values_of_variables.cache_clear()


@cache
def _values_of_variables() -> tuple[str, ...]:
    """What variables hold that are named like a secret, the longest first."""
    values = {
        value
        for name, value in os.environ.items()
        if _is_secret(name, value) and not _NO_VALUE.search(name) and _UNLIKE_WORDS.search(value)
    }
    long = [value for value in values if len(value) >= _SHORTEST_VALUE]
    return tuple(sorted(long, key=len, reverse=True))


def command_line_without_secrets(arguments: Sequence[str]) -> list[str]:
    """A command line without the values of options that are named like a secret.

    Knows `--password x`, `--password=x`, `password=x`, `-u user:x` and `-H "Authorization: x"`.
    """
    shown: list[str] = []
    option = ""
    for argument in arguments:
        assignment = _ASSIGNMENT.fullmatch(argument)
        if option and not argument.startswith("--") and _is_secret(option, argument):
            shown.append(REDACTED)
        elif option in _USER_OPTIONS and ":" in argument and "://" not in argument:
            shown.append(f"{argument.partition(':')[0]}:{REDACTED}")
        elif assignment and _is_secret(assignment[1], assignment[3]):
            shown.append(f"{assignment[1]}{assignment[2]}{REDACTED}")
        else:
            shown.append(without_secrets(argument))
        option = argument if argument.startswith("-") and not assignment else ""
    return shown


def _is_secret(name: str, value: str) -> bool:
    found = _SECRET_NAME.search(name)
    return found is not None and not (found["counted"] and _NUMBER.fullmatch(value))
