"""What a person reads when everything is up."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from local_stack.data_folder import default_folder
from local_stack.demo_identities import PEOPLE, SERVICE_CLIENT
from local_stack.ports import HOST, Ports

if TYPE_CHECKING:
    from local_stack.stack import LocalStack


def greeting(stack: LocalStack) -> str:
    """Addresses, identities and the next commands to try, as text."""
    at = stack.addresses
    people = "\n".join(
        f"  {person.sub:<8} {person.role:<16} studbook login --as {person.sub}" for person in PEOPLE
    )
    return f"""
Studbook is running. Ctrl-C stops it.

Where
  gateway  {at.gateway} (gRPC)
  pages    {at.web} (your account, in a browser)
  login    {at.people_issuer} (development issuer: loopback only, asks nobody for a password)
  CI       {at.ci_issuer} (development CI)
  behind   tracking {at.tracking}, registry {at.registry}
  access   {stack.folder.access_file} (who may do what; edit it while this runs)
  logs     {stack.folder.logs}

Who you can be
{people}
  release  CI pipeline      export STUDBOOK_TOKEN=$({_ci_token_command(stack)})
  {SERVICE_CLIENT:<8} ops service      {_service_command(stack)}

Try, in another terminal
{_address_hint(stack)}  studbook login --as ada
  studbook whoami
  python examples/train_wine.py
  studbook run ls wine
"""


def _address_hint(stack: LocalStack) -> str:
    if stack.addresses.gateway == f"{HOST}:{Ports().gateway}":
        return ""
    return f"  export STUDBOOK_ADDRESS={stack.addresses.gateway}\n"


def _ci_token_command(stack: LocalStack) -> str:
    data = stack.folder.path
    where = "" if data == default_folder().absolute() else f" --data {shlex.quote(str(data))}"
    return f"python -m local_stack.ci_token{where}"


def _service_command(stack: LocalStack) -> str:
    secret = shlex.quote(str(stack.folder.secret_file(SERVICE_CLIENT)))
    return f"export STUDBOOK_CLIENT_ID={SERVICE_CLIENT} STUDBOOK_CLIENT_SECRET_FILE={secret}"
