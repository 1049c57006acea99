"""The patch from a commit to the files that ran: one that `git apply` takes, without secrets."""

from __future__ import annotations

import fnmatch
import hashlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from studbook.file_digests import prefixed
from studbook.redaction import has_secret, without_secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from studbook.git_questions import GitQuestions

LARGEST_PATCH = 1024 * 1024
ARTIFACT = "studbook/code.patch"

_SECRET_FILES = (
    ".env", ".env.*", "*.env", "*.pem", "*.key", "*.p12", "*.pfx", "*.jks", "*.keystore", "*.kdbx",
    "*.ppk", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*", ".netrc", "_netrc", ".pgpass",
    ".npmrc", ".pypirc", ".htpasswd", ".git-credentials", ".dockercfg", "kubeconfig*", "*.tfstate",
    "*.tfvars", "credentials", "*credentials*.json", "*credentials*.y*ml", "*credentials*.ini",
    "client_secret*.json", "service-account*.json", "service_account*.json", "secret.*",
    "secrets.*", "*.secret", "*.secrets",
)  # fmt: skip
# More files with such names than this can hardly be told to Git one by one.
_MOST_SECRET_FILES = 1000
_SECTION = b"diff --git "


@dataclass
class Patch:
    """What differs from the commit.

    Attributes:
        digest: Of the whole patch, `sha256:{hex}`; empty when nothing differs.
        data: The patch; None when it is larger than `LARGEST_PATCH`.
        left_out: Files that may hold secrets, which are not in it.
    """

    digest: str
    data: bytes | None
    left_out: list[str] = field(default_factory=list)


def may_hold_secrets(path: str) -> bool:
    """Whether a file is named as files with secrets are."""
    name = path.rpartition("/")[2].lower()
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in _SECRET_FILES)


def read_patch(git: GitQuestions, base: str, changed: Sequence[str]) -> Patch:
    """The patch from a commit or tree to the tracked files as they are now.

    Args:
        git: Asks at the top of the work tree.
        base: Id of the commit or tree.
        changed: The tracked files that differ.

    Raises:
        GitFailed: When Git cannot tell in time.
    """
    secret = [path for path in changed if may_hold_secrets(path)]
    patch = _PatchBuilder(secret)
    if len(secret) < _MOST_SECRET_FILES and len(secret) < len(changed):
        # The forms of output that a user's configuration could change are all fixed here.
        git.pass_on(
            patch.take,
            "diff", "--binary", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv",
            "--no-renames", "--src-prefix=a/", "--dst-prefix=b/", "--unified=3",
            "--inter-hunk-context=0", f"-O{os.devnull}", "--no-relative", "--submodule=short",
            "--ignore-submodules=dirty", base, "--", ":/",
            *(f":(top,exclude,literal){path}" for path in secret),
        )  # fmt: skip
    return patch.finished()


class _PatchBuilder:
    """Takes a patch file by file, and leaves out those in which a secret shows."""

    def __init__(self, left_out: list[str]) -> None:
        self._left_out = list(left_out)
        self._digest = hashlib.sha256()
        self._kept: list[bytes] | None = []
        self._size = 0
        self._section: list[bytes] = []
        self._section_size = 0
        self._line = b""

    def take(self, block: bytes) -> None:
        lines = (self._line + block).splitlines(keepends=True)
        self._line = lines.pop() if lines and not lines[-1].endswith(b"\n") else b""
        for line in lines:
            self._take_line(line)

    def _take_line(self, line: bytes) -> None:
        if line.startswith(_SECTION):
            self._close_section()
        self._section.append(line)
        self._section_size += len(line)
        if self._section_size > LARGEST_PATCH:
            # Too large to be stored, so that it need not be looked at either.
            self._keep()

    def _close_section(self) -> None:
        text = b"".join(self._section)
        if b"\nGIT binary patch\n" not in text and has_secret(text.decode(errors="replace")):
            self._left_out.append(_name(self._section[0]))
            self._section, self._section_size = [], 0
        else:
            self._keep()

    def _keep(self) -> None:
        for line in self._section:
            self._digest.update(line)
        self._size += self._section_size
        if self._size > LARGEST_PATCH:
            self._kept = None
        if self._kept is not None:
            self._kept += self._section
        self._section, self._section_size = [], 0

    def finished(self) -> Patch:
        if self._line:
            self._take_line(self._line)
        self._close_section()
        if self._left_out:
            # After the last hunk, where `git apply` passes over it.
            names = "".join(f"  {without_secrets(path)}\n" for path in sorted(self._left_out))
            text = f"\nStudbook left out files that may hold secrets:\n{names}"
            self._section = [text.encode(errors="surrogateescape")]
            self._section_size = len(self._section[0])
            self._keep()
        digest = prefixed(self._digest.hexdigest()) if self._size else ""
        data = None if self._kept is None else b"".join(self._kept)
        return Patch(digest, data, sorted(self._left_out))


def _name(heading: bytes) -> str:
    # `a/` and `b/` stand before the same name, as renames are not looked for.
    names = heading[len(_SECTION) :].decode(errors="surrogateescape").rstrip("\n")
    return names[(len(names) + 1) // 2 :].strip('"').removeprefix("b/")
