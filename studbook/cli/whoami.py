"""`studbook whoami`: who one is to the server, by which token, and what one may do and why."""

from typing import TYPE_CHECKING

from studbook.cli.options import AsJson

if TYPE_CHECKING:
    from collections.abc import Iterable

    from studbook.credentials import TokenSource
    from studbook.identity.v1.identity_service_pb2 import Denial, Grant, WhoAmIResponse


def whoami(*, as_json: AsJson = False) -> None:
    """Show who you are to the server, by which token, and what you may do by which rule.

    A rule is a binding in the server's access.yaml: it gives a role to a member, which is you or a
    group that your token names, on resources.
    """
    from studbook.address import resolve_address
    from studbook.cli import output
    from studbook.client import Client
    from studbook.credentials import default_token_source
    from studbook.identity.v1.identity_service_pb2 import WhoAmIRequest

    address = str(resolve_address())
    source = default_token_source(address)
    with Client(address, token_source=source) as client:
        who: WhoAmIResponse = client.identity.WhoAmI(WhoAmIRequest())
    if as_json:
        output.print_json(who)
        return
    output.print_fields([*_identity(who), ("server", _server(address)), *_token(who, source)])
    output.print_heading("May do")
    output.print_table(
        ("role", "on", "through", "until", "permissions"),
        [
            (grant.role, grant.resource, grant.member, _until(grant), ", ".join(grant.permissions))
            for grant in who.grants
        ],
    )
    if not who.grants:
        output.note("Nothing: no binding in the server's access.yaml names you or your groups.")
    if who.denials:
        output.print_heading("May not, whatever the roles say")
        output.print_table(
            ("permissions", "on", "through", "until"),
            [
                (", ".join(denial.permissions), denial.resource, denial.member, _until(denial))
                for denial in who.denials
            ],
        )


def _identity(who: "WhoAmIResponse") -> "Iterable[tuple[str, str]]":
    from studbook.identity.v1.principal_pb2 import PrincipalKind

    principal = who.principal
    yield "principal", principal.id
    kinds = {
        PrincipalKind.PRINCIPAL_KIND_USER: "person",
        PrincipalKind.PRINCIPAL_KIND_SERVICE: "service account",
        PrincipalKind.PRINCIPAL_KIND_PIPELINE: "CI job",
    }
    yield "kind", kinds.get(principal.kind, "")
    yield "name", principal.display_name
    yield "issuer", principal.issuer
    yield "groups", ", ".join(who.groups)
    for name, text in sorted(principal.pipeline_claims.items()):
        yield f"claim {name}", text


def _server(address: str) -> str:
    from studbook.profiles import Profiles

    profile = Profiles().active()
    named = profile is not None and profile.address == address
    return f"{address} (profile {profile.name})" if profile and named else address


def _token(who: "WhoAmIResponse", source: "TokenSource") -> "Iterable[tuple[str, str]]":
    import time

    from studbook.cli import output

    yield "token", _origin(source)
    left = who.token_expire_time.seconds - time.time()
    end = output.format_second(who.token_expire_time)
    yield "token expires", f"{end} (in {output.format_duration(max(left, 0))})"


def _origin(source: "TokenSource") -> str:
    """Where the token comes from, and whether there will be a next one."""
    from studbook.credentials import FileToken, FixedToken
    from studbook.login_tokens import StoredLogin
    from studbook.service_account import ClientCredentials

    match source:
        case FixedToken():
            return "from the environment; not renewed"
        case FileToken():
            return "from a file; whoever writes the file renews it"
        case ClientCredentials():
            return "of a service account; renewed before it expires"
        case StoredLogin():
            renewed = source.is_renewable()
            return f"of a stored login; {'renewed before it expires' if renewed else 'not renewed'}"
    return "of this CI job; renewed before it expires"


def _until(entry: "Grant | Denial") -> str:
    from studbook.cli import output

    return output.format_second(entry.expire_time if entry.HasField("expire_time") else None)
