"""Files that `access.yaml` names for an issuer: whose certificates to believe, and its keys."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Any

from gateway.access_checks import AccessFileError
from gateway.signature_check import prepare_keys
from gateway.token_shape import MalformedTokenError, parse_object
from service_chassis.certificates import read_authorities

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from gateway.access_file import Issuer
    from gateway.access_rules import AccessRules

LARGEST_KEY_SET = 256 * 1024


def believing(ca_file: Path) -> ssl.SSLContext:
    """What believes servers whose certificates these authorities have signed, and no others.

    Raises:
        OSError: The file cannot be read.
        ValueError: It holds something else than certificates.
    """
    return ssl.create_default_context(cadata=read_authorities(ca_file).decode())


def read_key_set(keys_file: Path) -> Mapping[str, Any]:
    """A JWKS on disk.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is too large, or no JSON object.
    """
    with keys_file.open("rb") as file:
        text = file.read(LARGEST_KEY_SET + 1)
    if len(text) > LARGEST_KEY_SET:
        message = f"it is larger than {LARGEST_KEY_SET} bytes"
        raise ValueError(message)
    try:
        return parse_object(text)
    except MalformedTokenError as error:
        message = f"it is {error}"
        raise ValueError(message) from None


def check_issuer_files(rules: AccessRules) -> None:
    """Make sure that there is something in the files to begin with.

    Raises:
        AccessFileError: One of them cannot be used.
    """
    problems = [
        f"issuers.{name}.{problem}"
        for name, issuer in rules.file.issuers.items()
        for problem in _problems(issuer)
    ]
    if problems:
        raise AccessFileError("\n".join(problems))


def _problems(issuer: Issuer) -> Iterator[str]:
    if issuer.ca_file is not None:
        try:
            believing(issuer.ca_file)
        except (OSError, ValueError) as error:
            yield f"ca_file: {issuer.ca_file} has no certificates (PEM) to read: {error}"
    if issuer.keys_file is not None:
        yield from _keys_problems(issuer.keys_file, issuer)


def _keys_problems(path: Path, issuer: Issuer) -> Iterator[str]:
    try:
        keys = prepare_keys(read_key_set(path), issuer.algorithms, single_key=issuer.single_key)
    except (OSError, ValueError) as error:
        yield f"keys_file: {path} has no key set (JWKS) to read: {error}"
        return
    if not keys:
        yield (
            f"keys_file: {path} has no public key for {', '.join(issuer.algorithms)} with a `kid` "
            "of its own; have the issuer's operator give you its JWKS, or correct `algorithms`"
        )
