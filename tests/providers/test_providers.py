"""Studbook at providers that know nothing of it: the same tests at each."""

from __future__ import annotations

import base64
import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from studbook import login_provider
from studbook.client import Client
from studbook.device_login import with_device
from studbook.exceptions import FailedPrecondition, Unauthenticated
from studbook.identity.v1.identity_service_pb2 import GetServerInfoRequest, WhoAmIRequest
from studbook.identity.v1.principal_pb2 import PRINCIPAL_KIND_USER
from studbook.login import who_am_i, with_browser
from studbook.tracking.v1.experiment_pb2 import Experiment
from studbook.tracking.v1.experiment_service_pb2 import CreateExperimentRequest
from tests.providers.conftest import log_in
from tests.providers.provider import (
    SERVICE,
    SERVICE_SECRET,
    SIGNING,
    SIGNING_KEY,
    START_S,
    WEB_ORIGIN,
)
from tests.providers.terminal import address_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from studbook.identity.v1.identity_service_pb2 import WhoAmIResponse
    from tests.providers.installation import Installation
    from tests.providers.provider import Provider
    from tests.providers.terminal import Terminal


PAGE = (Path(__file__).resolve().parents[2] / "docs" / "identity-providers.md").read_text()


def test_provider_is_what_it_says(provider: Provider, terminal: Terminal) -> None:
    described = provider.describe()
    assert described["issuer"] == provider.issuer
    assert ("device_authorization_endpoint" in described) == provider.abilities.device_grant
    assert "S256" in described["code_challenge_methods_supported"]
    with terminal.client() as client:
        info = client.identity.GetServerInfo(GetServerInfoRequest())
    (offered,) = [one for one in info.login_providers if one.name == provider.name]
    assert offered.issuer == provider.issuer


def test_whoever_logs_in_in_the_browser_can_work(provider: Provider, ada: Terminal) -> None:
    said = ada.run("whoami")
    assert f"user:{provider.name}:ada" in said
    with ada.client() as client:
        made = client.experiments.CreateExperiment(
            CreateExperimentRequest(
                parent="workspaces/main",
                experiment_id=f"at-{provider.name}",
                experiment=Experiment(description="Made at the provider"),
            )
        )
    assert made.experiment.name == f"workspaces/main/experiments/at-{provider.name}"


def test_groups_are_those_of_the_provider(provider: Provider, ada: Terminal) -> None:
    with ada.client() as client:
        who = client.identity.WhoAmI(WhoAmIRequest())
    assert who.principal.kind == PRINCIPAL_KIND_USER
    assert (who.principal.display_name, who.principal.issuer) == ("Ada", provider.issuer)
    assert list(who.groups) == [f"group:{provider.name}:data-science"]
    assert [(grant.role, grant.member) for grant in who.grants] == [("trainer", who.groups[0])]


def test_login_is_renewed_and_what_renews_it_changes(ada: Terminal) -> None:
    before = ada.login
    ada.keep(replace(before, expires_at=time.time()))

    with ada.client() as client:
        assert client.identity.WhoAmI(WhoAmIRequest()).principal.subject == "ada"

    after = ada.login
    assert after.expires_at is not None
    assert after.expires_at > time.time() + 600
    assert before.refresh_token != after.refresh_token


def service_login(terminal: Terminal) -> WhoAmIResponse:
    """Whom the server takes a program for that has this environment."""
    with pytest.MonkeyPatch.context() as patch:
        for name, text in terminal.environment.items():
            patch.setenv(name, text)
        with Client() as client:
            who: WhoAmIResponse = client.identity.WhoAmI(WhoAmIRequest())
    return who


def test_service_account_proves_itself_by_a_secret(provider: Provider, terminal: Terminal) -> None:
    variables = {"STUDBOOK_CLIENT_ID": SERVICE, "STUDBOOK_CLIENT_SECRET": SERVICE_SECRET}
    who = service_login(replace(terminal, variables=variables))
    assert who.principal.id == f"service:{provider.name}:{SERVICE}"
    assert [grant.role for grant in who.grants] == ["viewer"]


def test_service_account_proves_itself_by_a_key(
    provider: Provider, terminal: Terminal, tmp_path: Path
) -> None:
    key = tmp_path / "key.json"
    key.write_text(json.dumps(SIGNING_KEY.as_dict(private=True)))
    variables = {"STUDBOOK_CLIENT_ID": SIGNING, "STUDBOOK_CLIENT_KEY_FILE": str(key)}
    signing = replace(terminal, variables=variables)
    if not provider.abilities.key_for_services:
        with pytest.raises(Unauthenticated, match="invalid_client"):
            service_login(signing)
        return
    assert service_login(signing).principal.id == f"service:{provider.name}:{SIGNING}"


def test_device_grant(provider: Provider, terminal: Terminal, page: Page) -> None:
    if not provider.abilities.device_grant:
        with pytest.raises(FailedPrecondition, match="has no device login"):
            with_device(terminal.address, provider_name=provider.name, show=pytest.fail)
        return
    with terminal.asking("login", "--device") as url:
        page.goto(url)
        provider.confirm_device(page, "grace")
    with terminal.client() as client:
        assert client.identity.WhoAmI(WhoAmIRequest()).principal.subject == "grace"


def key_id(token: str) -> str:
    header = token.partition(".")[0]
    return str(json.loads(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4)))["kid"])


def accepted(address: str, token: str) -> WhoAmIResponse:
    """What the gateway says to a token as soon as it accepts it; keys are not asked for at once."""
    deadline = time.monotonic() + START_S
    while True:
        try:
            return who_am_i(address, token)
        except Unauthenticated:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_new_key_is_accepted_without_a_restart(
    provider: Provider, installation: Installation, ada: Terminal
) -> None:
    process, former = installation.gateway_pid, provider.key_ids()
    provider.rotate_key()
    deadline = time.monotonic() + START_S
    while not (new := provider.key_ids() - former):
        assert time.monotonic() < deadline
        time.sleep(0.05)

    renewed = login_provider.refresh(ada.login)
    ada.keep(renewed)

    assert key_id(renewed.access_token) in new
    assert accepted(ada.address, renewed.access_token).principal.subject == "ada"
    assert (former <= provider.key_ids()) == provider.abilities.keeps_former_key
    assert installation.gateway_pid == process


class Opened(Exception):  # noqa: N818 - no error: it ends a login where its page would open
    """The address of a login page."""


def login_page(terminal: Terminal) -> str:
    """The address of a page to log in on, for a login that goes no further."""

    def opened(url: str) -> bool:
        raise Opened(url)

    with pytest.raises(Opened) as seen:
        with_browser(
            terminal.address,
            provider_name=terminal.provider,
            show=lambda _text: None,
            open_browser=opened,
        )
    return str(seen.value)


def test_logout_ends_it_at_the_provider(provider: Provider, terminal: Terminal, page: Page) -> None:
    log_in(provider, terminal, page, "grace")
    login = terminal.login
    said = terminal.run("logout")

    assert terminal.logins.find(terminal.address) is None
    if provider.abilities.revocation:
        with pytest.raises(Unauthenticated, match="invalid_grant"):
            login_provider.refresh(login)
    else:
        assert "The tokens were not taken back" in said
    page.goto(address_in(said))
    provider.confirm_logout(page)
    # Somebody who is still remembered would not be asked.
    page.goto(login_page(terminal))
    page.wait_for_selector(provider.first_field)


def test_pages_in_the_browser(provider: Provider, installation: Installation, page: Page) -> None:
    page.goto(f"{WEB_ORIGIN}/account")
    page.get_by_role("link", name=f"Sign in with {provider.name}", exact=True).click()
    provider.log_in(page, "ada")
    page.wait_for_url(f"{WEB_ORIGIN}/account")
    account = page.get_by_role("main").inner_text()
    assert f"user:{provider.name}:ada" in account
    assert f"group:{provider.name}:data-science" in account

    page.get_by_role("banner").get_by_role("button", name="Sign out").click()
    provider.confirm_web_logout(page)
    page.wait_for_url(f"{WEB_ORIGIN}/signed-out")
    # Somebody who is still remembered would not be asked.
    page.goto(f"{WEB_ORIGIN}/login/{provider.name}")
    page.wait_for_selector(provider.first_field)


def test_login_that_ends_elsewhere_ends_in_the_pages(
    provider: Provider, installation: Installation, page: Page
) -> None:
    """The provider says so itself; the browser is told nothing."""
    described = provider.describe()
    tells = described.get("backchannel_logout_supported", False)
    assert tells == provider.abilities.backchannel_logout
    if not tells:
        return
    page.goto(f"{WEB_ORIGIN}/account")
    page.get_by_role("link", name=f"Sign in with {provider.name}", exact=True).click()
    provider.log_in(page, "grace")
    page.wait_for_url(f"{WEB_ORIGIN}/account")

    page.goto(described["end_session_endpoint"])
    provider.confirm_logout(page)

    page.goto(f"{WEB_ORIGIN}/account")
    page.wait_for_url(f"{WEB_ORIGIN}/login?**")


# Addresses differ, and what the page says in words.
ELSEWHERE = {"url", "audience", "groups_claim", "introspection"}


def without_addresses(settings: dict[str, Any]) -> dict[str, Any]:
    login = {name: re.sub(r":\d+/", ":PORT/", text) for name, text in settings["login"].items()}
    kept = {name: value for name, value in settings.items() if name not in ELSEWHERE}
    web = {**settings["web"], "client_secret_file": "PATH"}
    return kept | {"login": login, "web": web}


def test_documentation_has_the_settings(provider: Provider) -> None:
    """Those of the development issuer are made by `studbook up`."""
    heading = rf"^## {provider.name} \(tested\)$"
    headings = re.split(heading, PAGE, flags=re.MULTILINE | re.IGNORECASE)
    if provider.name == "development":
        assert len(headings) == 1
        return
    block = headings[1].partition("```yaml\n")[2].partition("```")[0]
    (documented,) = yaml.safe_load(block)["issuers"].values()
    assert without_addresses(documented) == without_addresses(provider.settings)
