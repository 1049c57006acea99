"""`studbook login`, `logout` and `token`."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from studbook.identity.v1.identity_service_pb2 import WhoAmIResponse
    from studbook.logout import LoggedOut

# These go before a stored login; see studbook.credentials.
_OVERRIDES = ("STUDBOOK_TOKEN", "STUDBOOK_TOKEN_FILE", "STUDBOOK_CLIENT_ID")


def login(
    *,
    as_person: Annotated[
        str,
        typer.Option(
            "--as",
            metavar="NAME",
            help="Be a demo identity of a development issuer; needs no browser.",
        ),
    ] = "",
    device: Annotated[
        bool,
        typer.Option("--device", help="Log in with the browser of another device, by a code."),
    ] = False,
    token_stdin: Annotated[
        bool,
        typer.Option("--token-stdin", help="Read a token from standard input and keep it."),
    ] = False,
    provider: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            envvar="STUDBOOK_LOGIN_PROVIDER",
            show_envvar=False,
            help="Login provider, where the server has several.",
        ),
    ] = "",
    server: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The server, instead of STUDBOOK_ADDRESS.")
    ] = "",
    profile: Annotated[
        str,
        typer.Option(metavar="NAME", help="Log in under this profile, and use it from now on."),
    ] = "",
) -> None:
    """Log in at the login provider of the server, and keep the login.

    Opens the browser. On a machine without one use --device, which lets you log in with the browser
    of any other, or --token-stdin with a token from elsewhere; a token is never an argument, which
    others on the machine could read.

    The login is kept for this server alone, in a file that only you can read, and renewed as long
    as the login provider allows. With --profile the server gets a name: `studbook profiles` goes
    from one to another.
    """
    from studbook import login as flows
    from studbook.address import resolve_address
    from studbook.cli import output
    from studbook.device_login import with_device
    from studbook.profiles import Profiles
    from studbook.stored_logins import StoredLogins

    if sum((bool(as_person), device, token_stdin)) > 1:
        message = "--as, --device and --token-stdin exclude each other"
        raise typer.BadParameter(message)
    named = Profiles().for_login(profile, server) if profile else None
    address = named.address if named else str(resolve_address(server))
    if token_stdin:
        made = flows.with_token(address, _typed_token())
    elif as_person:
        made = flows.as_demo_person(address, as_person, provider_name=provider)
    elif device:
        made = with_device(address, provider_name=provider, show=output.note)
    else:
        made = flows.with_browser(address, provider_name=provider, show=output.note)
    store = StoredLogins(profile=named)
    who = flows.keep(address, made, store)
    output.note(f"Logged in at {address} as {_named(who)}.")
    output.note(f"The login is kept in {store.kept()}.")
    if named:
        Profiles().use(named)
        output.note(f"Using the profile {named.name} from now on.")
    _warn_of_overrides(address)


def logout(
    *,
    local: Annotated[
        bool,
        typer.Option("--local", help="Leave your session at the login provider alone."),
    ] = False,
    profile: Annotated[str, typer.Option(metavar="NAME", help="Log out under this profile.")] = "",
) -> None:
    """Forget the login at the server, and end it at the login provider.

    Takes the tokens back there, and opens the page that ends your session in the browser, unless
    --local is given. The login is forgotten here even when the provider cannot be reached.
    """
    from studbook.address import resolve_address
    from studbook.logout import log_out
    from studbook.profiles import Profiles
    from studbook.stored_logins import StoredLogins

    named = Profiles().named(profile) if profile else None
    address = named.address if named else str(resolve_address())
    done = log_out(address, session=not local, logins=StoredLogins(profile=named))
    tell_of_logout(address, done)
    _warn_of_overrides(address)


def tell_of_logout(address: str, done: "LoggedOut") -> None:
    """Say what has become of a login."""
    from studbook.cli import output

    output.note(f"Logged out at {address}." if done.was_logged_in else f"No login at {address}.")
    for sentence in done.left_undone:
        output.note(sentence)
    if done.session_url:
        lead = "Your browser should" if done.opened else "To"
        output.note(
            f"{lead} end your session at the login provider"
            f"{'. If not, open' if done.opened else ', open'}:\n{done.session_url}"
        )


def token(
    *,
    resources: Annotated[
        list[str] | None,
        typer.Option(
            "--resource",
            metavar="PATTERN",
            help="In a CI job: a token for these resources only, e.g. models/wine-cultivar/**; "
            "without workspaces/... they are taken in your workspace. Repeatable.",
        ),
    ] = None,
) -> None:
    """Print the token that commands would send now, renewed when it has to be.

    For programs that use the generated stubs: STUDBOOK_TOKEN=$(studbook token). In a CI job it is
    the token that the server gives for the CI system's, where it requires that.
    """
    from studbook.client import Client
    from studbook.exceptions import Unauthenticated

    with Client() as client:
        text = client.exchange_token(resources) if resources else client.token()
    if text is None:
        message = "There is no token: nobody is logged in here."
        raise Unauthenticated(message, reason="TOKEN_MISSING")
    print(text)


def _typed_token() -> str:
    import sys
    from getpass import getpass

    return getpass("Token: ") if sys.stdin.isatty() else sys.stdin.read()


def _named(who: "WhoAmIResponse") -> str:
    principal = who.principal
    return f"{principal.display_name} ({principal.id})" if principal.display_name else principal.id


def _warn_of_overrides(address: str) -> None:
    import os

    from studbook.address import resolve_address
    from studbook.cli import output

    present = next((name for name in _OVERRIDES if os.environ.get(name)), None)
    if present:
        output.note(f"Note: {present} is set and is used instead of any login.")
    meant = str(resolve_address())
    if meant != address:
        name = "STUDBOOK_ADDRESS" if os.environ.get("STUDBOOK_ADDRESS") else "STUDBOOK_PROFILE"
        output.note(f"Note: other commands call {meant}; set {name} to change that.")
