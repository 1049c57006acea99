"""`studbook verify`: whether files are what a certificate or signature says. Needs no server."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studbook.cli.options import AsJson
from studbook.cli.prerequisites import from_extra, readable

if TYPE_CHECKING:
    from studbook.certificates.verification import Verification

_MARKS = {True: "holds", False: "DOES NOT HOLD"}


def verify(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILES|DIR]...",
            help="Files of the version, or a folder with all of them. Without any, the certificate "
            "alone is verified.",
            show_default=False,
        ),
    ] = None,
    *,
    certificate: Annotated[
        Path | None,
        typer.Option(
            "--certificate", metavar="FILE", help="As `studbook model certificate` wrote it."
        ),
    ] = None,
    signature: Annotated[
        Path | None,
        typer.Option("--signature", metavar="FILE", help="As `studbook model sign` wrote it."),
    ] = None,
    key: Annotated[
        Path,
        typer.Option(
            "--key", metavar="PEM", help="Public keys of the registry, or of whoever signed."
        ),
    ],
    partial: Annotated[
        bool, typer.Option("--partial", help="Files of the version may be absent.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Verify files against a certificate or a signature.

    Says of every file and every claim whether it holds, and ends with exit code 6 when one does
    not. Asks no server.
    """
    if (certificate is None) == (signature is None):
        raise typer.BadParameter("Give either --certificate or --signature.")
    if signature is not None:
        _verify_signature(files or [], signature, key)
    elif certificate is not None:
        _verify_certificate(certificate, key, files or [], partial=partial, as_json=as_json)


def _verify_certificate(
    certificate: Path, key: Path, files: list[Path], *, partial: bool, as_json: bool
) -> None:
    from studbook.certificates.keys import read_keys
    from studbook.certificates.verification import verify_certificate
    from studbook.cli import output
    from studbook.exceptions import VerificationFailed

    with readable():
        found = verify_certificate(
            certificate.read_bytes(),
            read_keys(key),
            files,
            ignored=[certificate, key],
            partial=partial,
        )
    if as_json:
        output.print_json(_as_json(found))
    else:
        rows = ((one.kind, one.subject, _MARKS[one.holds], one.detail) for one in found.findings)
        output.print_table(("WHAT", "WHICH", "VERDICT", "DETAIL"), rows)
    failed = [one for one in found.findings if not one.holds]
    if failed:
        raise VerificationFailed(
            f"{len(failed)} of {len(found.findings)} do not hold, first of all "
            f"{failed[0].kind} {failed[0].subject}: {failed[0].detail}.",
            next_step="Do not use these files as the version that the certificate is about.",
        )


def _verify_signature(files: list[Path], signature: Path, key: Path) -> None:
    from studbook.cli import output

    if len(files) != 1 or not files[0].is_dir():
        raise typer.BadParameter("A signature is about one directory; give that.")
    with from_extra("certificates"):
        from studbook.certificates.model_signature import verify_directory
    with readable():
        verify_directory(files[0], key, signature)
    output.print_lines([f"{files[0]} holds the files that were signed, and no others."])


def _as_json(found: "Verification") -> dict[str, Any]:
    return {
        "version": found.statement.version.get("name", ""),
        "holds": found.holds,
        "findings": [
            {
                "kind": one.kind,
                "subject": one.subject,
                "holds": one.holds,
                "detail": one.detail,
            }
            for one in found.findings
        ],
    }
