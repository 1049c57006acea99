"""Repositories by their addresses: which are the same, and pages that show a range of commits."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

# Hosts whose pages are known, and below a repository's page the one that shows a range. Servers of
# a company are known by the first part of their name; Bitbucket's have other pages than its cloud.
_PAGES = (
    (re.compile(r"github\..+"), "compare/{base}..{head}"),
    (re.compile(r"gitlab\..+"), "-/compare/{base}...{head}?straight=true"),
    (re.compile(r"bitbucket\.org"), "branches/compare/{head}%0D{base}#diff"),
    (re.compile(r"(codeberg|gitea|forgejo)\..+"), "compare/{base}...{head}"),
)
# `git@host:path`, as ssh takes it. One letter before the colon is a drive, not a host.
_SSH_PLACE = re.compile(r"(?:[^@/\s]+@)?(?P<host>[\w.-]{2,}):(?P<path>[^\s]+)", re.ASCII)
# What can stand in the address of a page as it is, and does not lead elsewhere.
_PLAIN_PATH = re.compile(r"(?!(?:.*/)?\.{1,2}(?:/|$))[\w.~-]+(?:/[\w.~-]+)+", re.ASCII)
_WEB = frozenset({"http", "https"})


@dataclass(frozen=True, slots=True)
class _Remote:
    """A repository as its address says.

    Attributes:
        scheme: How it is reached.
        host: Where it is, with the port if that matters to a browser.
        path: Which one it is there.
    """

    scheme: str
    host: str
    path: str


def _remote(repository: str) -> _Remote | None:
    """The parts of an address; None for a folder, and what else is at no host."""
    if "://" not in repository:
        found = _SSH_PLACE.fullmatch(repository)
        return found and _Remote("ssh", found["host"].lower(), _trimmed(found["path"]))
    try:
        parts = urlsplit(repository)
        host = parts.hostname or ""
        port = f":{parts.port}" if parts.port and parts.scheme in _WEB else ""
    except ValueError:
        return None
    return _Remote(parts.scheme, host + port, _trimmed(parts.path)) if host else None


def _trimmed(path: str) -> str:
    return path.strip("/").removesuffix(".git")


def is_same_repository(one: str, other: str) -> bool:
    """Whether two addresses lead to the same repository, whichever way."""
    return _place(one) == _place(other)


def _place(repository: str) -> str:
    """The same for all ways to reach one repository; hosts tell no capitals apart in paths."""
    remote = _remote(repository)
    return repository if remote is None else f"{remote.host}/{remote.path}".lower()


def page_of_range(repository: str, base: str, head: str) -> str:
    """Address of the page that shows what lies between two commits.

    Empty where the host's pages are not known.
    """
    remote = _remote(repository)
    if remote is None or not _PLAIN_PATH.fullmatch(remote.path):
        return ""
    scheme = remote.scheme if remote.scheme in _WEB else "https"
    for host, page in _PAGES:
        if host.fullmatch(remote.host):
            where = page.format(base=base, head=head)
            return f"{scheme}://{remote.host}/{remote.path}/{where}"
    return ""
