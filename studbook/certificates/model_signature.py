"""Model files signed and verified in the OpenSSF model-signing format, with a key of one's own.

All of it is the work of the `model-signing` library, from the extra `studbook[certificates]`. Keys
are elliptic-curve keys, which is what the format knows: P-256, P-384 or P-521.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from model_signing import hashing, signing, verifying

from studbook.certificates.file_set import MARKER
from studbook.exceptions import InvalidArgument, VerificationFailed

if TYPE_CHECKING:
    from pathlib import Path

# The library writes the bytes of digests out as Python would.
_DIGESTS = re.compile(r": Expected .*?(?=, [\"'](?:Hash|Extra|Missing)|\]$)")
# What the library raises for a signature or key that is not what it should be.
_FAULTS = (ValueError, KeyError, TypeError, IndexError, AttributeError, InvalidSignature)


def sign_directory(directory: Path, private_key: Path, signature: Path) -> None:
    """Sign all files of a directory.

    What `studbook pull` leaves beside the files of a version is not signed, nor is the signature
    when it lies there. Nor, as by every program that knows the format, are the files of Git:
    `.git`, `.github`, `.gitignore` and `.gitattributes`.

    Args:
        directory: The files.
        private_key: PEM file of the key, without password.
        signature: Where the signature is written.

    Raises:
        InvalidArgument: The key is none that can sign, or the directory holds symbolic links.
        OSError: Something cannot be read or written.
    """
    ignored = [directory / MARKER, signature]
    settings = hashing.Config().set_ignored_paths(
        paths=[path for path in ignored if path.exists()], ignore_git_paths=True
    )
    try:
        signer = signing.Config().use_elliptic_key_signer(private_key=private_key)
        signer.set_hashing_config(settings).sign(directory, signature)
    except (*_FAULTS, UnsupportedAlgorithm) as error:
        message = f"{directory} cannot be signed with {private_key}: {error}"
        raise InvalidArgument(
            message,
            reason="FIELD_INVALID",
            next_step="`openssl ecparam -name prime256v1 -genkey -noout` makes a fitting key.",
        ) from error


def verify_directory(directory: Path, public_key: Path, signature: Path) -> None:
    """Verify that a directory holds the files that were signed, and no others.

    Args:
        directory: The files.
        public_key: PEM file of the key.
        signature: The signature.

    Raises:
        VerificationFailed: Key, signature and files do not belong together.
        OSError: Something cannot be read.
    """
    try:
        verifier = verifying.Config().use_elliptic_key_verifier(public_key=public_key)
        verifier.verify(directory, signature)
    except (*_FAULTS, UnsupportedAlgorithm) as error:
        why = _DIGESTS.sub("", str(error)) or "another key made it, or it was altered"
        message = f"{directory} is not what {signature} was made for: {why}"
        next_step = "Do not use these files as those that were signed."
        raise VerificationFailed(message, next_step=next_step) from error
