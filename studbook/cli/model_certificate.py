"""The commands under `studbook model` that hand out proofs: certificates and signatures."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from studbook.cli.model_read import SelectorArgument
from studbook.cli.prerequisites import from_extra, readable


class CertificateFormat(StrEnum):
    """What a certificate is written as."""

    DSSE = "dsse"
    HTML = "html"
    CYCLONEDX = "cyclonedx"


def write_certificate(
    name: SelectorArgument,
    *,
    form: Annotated[
        CertificateFormat,
        typer.Option(
            "--format",
            help="dsse: the signed certificate. html: a page for people. cyclonedx: an ML-BOM.",
        ),
    ] = CertificateFormat.DSSE,
    target: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: standard output."),
    ] = None,
) -> None:
    """Write the signed certificate of a version.

    It holds all that is known of the version. `studbook verify` verifies it, and the files, without
    a network. Page and ML-BOM are made from the certificate; they are not signed themselves.
    """
    import sys

    from studbook import model_registry
    from studbook.cli import output

    content = _rendered(model_registry.certificate(name), form)
    if target is None:
        sys.stdout.buffer.write(content)
        return
    with readable():
        target.write_bytes(content)
    output.note(f"{target} holds the certificate of {name}.")


def _rendered(certificate: bytes, form: CertificateFormat) -> bytes:
    from studbook.certificates.envelope import read_envelope
    from studbook.certificates.statement import read_statement

    if form is CertificateFormat.DSSE:
        return certificate
    envelope = read_envelope(certificate)
    statement = read_statement(envelope)
    if form is CertificateFormat.HTML:
        from studbook.certificates.page import render_page

        return render_page(statement, envelope).encode()
    with from_extra("certificates"):
        from studbook.certificates.bom import render_bom
    return render_bom(statement, envelope).encode()


def sign_files(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A model's files.")],
    *,
    key: Annotated[
        Path, typer.Option("--key", metavar="PEM", help="Private elliptic-curve key, e.g. P-256.")
    ],
    target: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Default: DIR.sig."),
    ] = None,
) -> None:
    """Sign a model's files with a key of your own.

    In the OpenSSF model-signing format. Verify with `studbook verify DIR --signature FILE --key
    PUBLIC`, or with any program that knows the format.
    """
    from studbook.cli import output

    with from_extra("certificates"):
        from studbook.certificates.model_signature import sign_directory

    whole = directory.absolute()
    signature = target or whole.with_name(f"{whole.name}.sig")
    with readable():
        sign_directory(directory, key, signature)
    output.note(f"{signature} holds the signature of {directory}.")
