"""`studbook profiles`: names for servers."""

from typing import TYPE_CHECKING, Annotated

import typer

from studbook.cli.options import AsJson

if TYPE_CHECKING:
    from studbook.profiles import Profile

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    add_completion=False,
    help="Names for servers, made by `studbook login --profile NAME --server HOST:PORT`.",
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The profile.")]


@app.command("ls")
def list_profiles(*, as_json: AsJson = False) -> None:
    """List the profiles, their servers, and the one in use.

    And whether you are logged in under each.
    """
    from studbook.cli import output
    from studbook.profiles import Profiles

    profiles = Profiles()
    active = profiles.active()
    if as_json:
        output.print_json(
            {
                "active": active.name if active else "",
                "profiles": [vars(profile) for profile in profiles.all()],
            }
        )
        return
    output.print_table(
        ("", "profile", "server", "login"),
        [
            ("*" if profile == active else "", profile.name, profile.address, _login_of(profile))
            for profile in profiles.all()
        ],
    )


@app.command("use")
def use(name: _Name) -> None:
    """Use a profile from now on.

    Where neither STUDBOOK_ADDRESS nor STUDBOOK_PROFILE is set.
    """
    from studbook.cli import output
    from studbook.profiles import Profiles

    profiles = Profiles()
    profile = profiles.named(name)
    profiles.use(profile)
    output.note(f"Using {profile.name} ({profile.address}).")


@app.command("rm")
def remove(name: _Name) -> None:
    """Log out under a profile, and remove it."""
    from studbook.cli import output
    from studbook.cli.login import tell_of_logout
    from studbook.logout import log_out
    from studbook.profiles import Profiles
    from studbook.stored_logins import StoredLogins

    profiles = Profiles()
    profile = profiles.named(name)
    done = log_out(profile.address, logins=StoredLogins(profile=profile))
    profiles.remove(profile)
    tell_of_logout(profile.address, done)
    output.note(f"Removed {profile.name}.")


def _login_of(profile: "Profile") -> str:
    from datetime import UTC, datetime

    from studbook.stored_logins import StoredLogins

    login = StoredLogins(profile=profile).find(profile.address)
    if login is None:
        return "none"
    if login.refresh_token or login.expires_at is None:
        return "yes"
    return f"until {datetime.fromtimestamp(login.expires_at, UTC):%Y-%m-%dT%H:%M:%SZ}"
