"""Taking secrets out of what is recorded about a run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

if TYPE_CHECKING:
    from collections.abc import Sequence

REDACTED = "***"

_SECRET_NAME = re.compile(
    r"pass(word|wd|phrase|code)?$|pwd$|secret|token|credential|api[-_.]?key|access[-_.]?key"
    r"|private[-_.]?key|account[-_.]?key|encryption[-_.]?key|auth(orization)?$|bearer|cookie"
    r"|connection[-_.]?string|dsn$|(^|[-_.])key$",
    re.IGNORECASE,
)
# Forms that well-known issuers give their secrets, wherever they stand.
_SECRET_VALUE = re.compile(
    r"eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # JSON Web Token
    r"|gh[pousr]_\w{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}"
    r"|(?:AKIA|ASIA)[0-9A-Z]{16}|AIza[\w-]{30,}|ya29\.[\w-]{20,}"
    r"|xox[abeoprs]-[\w-]{10,}|hf_\w{20,}|sk-[\w-]{20,}|[rs]k_live_\w{16,}|pypi-[\w-]{40,}"
    r"|-----BEGIN[ A-Z]*PRIVATE KEY-----[\s\S]*"
)
_URL = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*://[^\s'\"]+")
_ASSIGNMENT = re.compile(r"(-{0,2}[+~]{0,2}[\w.@-]+)([=:])(.*)", re.DOTALL)


def without_credentials(url: str) -> str:
    """A URL without user name, password, and without query values that look like secrets."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return REDACTED
    # What stands before the @ of an SSH address says which account of the host is meant.
    user = "git@" if parts.netloc == f"git@{host}" and "ssh" in parts.scheme else ""
    query = "&".join(_without_value(part, "=") for part in parts.query.split("&") if part)
    return urlunsplit((parts.scheme, user + host, parts.path, query, parts.fragment))


def _without_value(text: str, separator: str) -> str:
    name, found, _ = text.partition(separator)
    return f"{name}{found}{REDACTED}" if found and _SECRET_NAME.search(name) else text


def without_secrets(text: str) -> str:
    """Text with credentials in URLs, and what looks like a token, blotted out."""
    shown = _URL.sub(lambda match: without_credentials(match[0]), text)
    return _SECRET_VALUE.sub(REDACTED, shown)


def command_line_without_secrets(arguments: Sequence[str]) -> list[str]:
    """A command line without the values of options that are named like a secret.

    Knows `--password x`, `--password=x`, `password=x` and `-H "Authorization: x"`.
    """
    shown: list[str] = []
    hide_next = False
    for argument in arguments:
        if hide_next and not argument.startswith("--"):
            shown.append(REDACTED)
            hide_next = False
            continue
        assignment = _ASSIGNMENT.fullmatch(argument)
        if assignment and _SECRET_NAME.search(assignment[1]):
            shown.append(f"{assignment[1]}{assignment[2]}{REDACTED}")
            hide_next = False
            continue
        hide_next = argument.startswith("-") and bool(_SECRET_NAME.search(argument.lstrip("-")))
        shown.append(without_secrets(argument))
    return shown
