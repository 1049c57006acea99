"""References to data that another system keeps, and names by versions of its own."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict

from studbook.exceptions import InvalidArgument
from studbook.file_digests import prefixed
from studbook.redaction import without_credentials, without_secrets
from studbook.run_records import DatasetReference

REFERENCE = "reference/v1"
LONGEST_SYSTEM = 64
LONGEST_URI = 2048
LONGEST_VERSION = 256


def reference(system: str, uri: str, version: str) -> DatasetReference:
    """One state of data that another system keeps, for `use_dataset`. The data is not read.

    Args:
        system: Which system: `dvc`, `delta`, `iceberg`, `lakefs`, `git-lfs`, or another name.
        uri: Where the data is. Credentials in it are left out.
        version: The system's own id of this state, e.g. a commit. It must name the same bytes for
            ever: no branch, no `latest`.

    Raises:
        InvalidArgument: When one is empty, too long or not printable.
    """
    return DatasetReference(
        _checked(system, "system", LONGEST_SYSTEM),
        _without_credentials(_checked(uri, "uri", LONGEST_URI)),
        _checked(version, "version", LONGEST_VERSION),
    )


def digest_of_reference(reference: DatasetReference) -> str:
    """The digest `reference/v1`: over the reference as JSON, not over the data."""
    text = json.dumps(asdict(reference), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return prefixed(hashlib.sha256(text.encode()).hexdigest())


def _checked(value: str, field: str, longest: int) -> str:
    if not isinstance(value, str) or not value or len(value) > longest or not value.isprintable():
        shown = "".join(c for c in str(value)[:80] if c.isprintable())
        message = (
            f'"{shown}" is not the {field} of a reference: 1 to {longest} printable characters.'
        )
        raise InvalidArgument(message, reason="FIELD_INVALID", metadata={"field": field})
    return value


def _without_credentials(uri: str) -> str:
    # A path in a folder here has no place for them.
    return without_secrets(without_credentials(uri) if "://" in uri else uri)
