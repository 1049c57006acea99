"""Logging in and out."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from base64 import urlsafe_b64encode
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode, urlsplit

import httpx
import pytest

from studbook import login, login_provider
from studbook.exceptions import FailedPrecondition, StudbookError, Unauthenticated, Unavailable
from studbook.identity.v1.identity_service_pb2 import LoginProvider
from studbook.login_tokens import StoredLogin
from studbook.redirect_listener import RedirectListener
from tests.unit.scripted_provider import ScriptedProvider, scripted_provider

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from studbook.stored_logins import Login, StoredLogins
    from tests.unit.identity_server import Identity

pytestmark = pytest.mark.usefixtures("logins")


def in_background(work: Callable[[], object]) -> bool:
    threading.Thread(target=work, daemon=True).start()
    return True


def browser_of(sub: str) -> Callable[[str], bool]:
    """A browser whose user is somebody that the issuer lets in at once."""

    def open_browser(url: str) -> bool:
        silent = f"{url}&{urlencode({'prompt': 'none', 'login_hint': sub})}"
        return in_background(lambda: httpx.get(silent, follow_redirects=True, trust_env=False))

    return open_browser


class TestBrowser:
    def test_logs_in(self, address: str) -> None:
        shown: list[str] = []

        made = login.with_browser(address, show=shown.append, open_browser=browser_of("ada"))

        assert login.who_am_i(address, made.access_token).principal.id == "user:dev:ada"
        assert made.refresh_token
        assert "code_challenge_method=S256" in shown[0]
        assert "resource=studbook" in shown[0]

    def test_without_a_browser_the_address_is_shown(self, address: str) -> None:
        shown: list[str] = []

        def no_browser(url: str) -> bool:
            browser_of("ada")(url)
            return False

        login.with_browser(address, show=shown.append, open_browser=no_browser)
        assert shown[0].startswith("Open this address")
        assert "--device" in shown[1]

    def test_refusal_is_told(self, address: str) -> None:
        with pytest.raises(Unauthenticated, match="login_required"):
            login.with_browser(address, show=lambda _text: None, open_browser=browser_of("nobody"))

    def test_nobody_comes(self, address: str) -> None:
        with pytest.raises(Unauthenticated, match="Nobody logged in"):
            login.with_browser(
                address, show=lambda _text: None, open_browser=lambda _url: True, patience_s=0.05
            )

    def test_answer_of_another_issuer_is_refused(self, address: str) -> None:
        def mixed_up(url: str) -> bool:
            asked = {key: texts[0] for key, texts in parse_qs(urlsplit(url).query).items()}
            answer = {"code": "x", "state": asked["state"], "iss": "https://elsewhere.example"}
            back = f"{asked['redirect_uri']}?{urlencode(answer)}"
            return in_background(lambda: httpx.get(back, trust_env=False))

        with pytest.raises(Unauthenticated, match="does not come from"):
            login.with_browser(address, show=lambda _text: None, open_browser=mixed_up)


ANY_PORT = "http://127.0.0.1/callback"


class TestIdToken:
    """What else came with the tokens must be of this very login."""

    @pytest.fixture
    def provider(self, identity: Identity) -> Iterator[ScriptedProvider]:
        with scripted_provider() as serving:
            identity.providers[0].issuer = serving.issuer
            serving.offer("authorization_endpoint", "/authorize", (200, ""))
            yield serving

    def log_in(self, address: str, provider: ScriptedProvider, **changes: object) -> Login:
        def back_at_once(url: str) -> bool:
            asked = {key: texts[0] for key, texts in parse_qs(urlsplit(url).query).items()}
            honest = {"iss": provider.issuer, "aud": "studbook-cli", "nonce": asked["nonce"]}
            claims = {key: text for key, text in (honest | changes).items() if text is not None}
            body = urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip("=")
            tokens = {"access_token": "a.b.c", "id_token": f"e30.{body}.x"}
            provider.answers["/token"] = [(200, tokens)]
            answer = {"code": "x", "state": asked["state"]}
            back = f"{asked['redirect_uri']}?{urlencode(answer)}"
            return in_background(lambda: httpx.get(back, trust_env=False))

        return login.with_browser(address, show=lambda _text: None, open_browser=back_at_once)

    def test_of_this_login(self, address: str, provider: ScriptedProvider) -> None:
        assert self.log_in(address, provider).access_token == "a.b.c"

    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"nonce": "replayed"}, "of another login"),
            ({"nonce": None}, "of another login"),
            ({"nonce": 7}, "of another login"),
            ({"iss": "https://elsewhere.example"}, "does not come from"),
        ],
    )
    def test_of_another(
        self, address: str, provider: ScriptedProvider, changes: dict[str, object], said: str
    ) -> None:
        with pytest.raises(Unauthenticated, match=said):
            self.log_in(address, provider, **changes)


class TestListener:
    def test_only_the_right_answer_counts(self) -> None:
        with RedirectListener(ANY_PORT) as listener:
            base = listener.redirect_uri.removesuffix("/callback")

            def knock() -> None:
                for path in ("/", "/favicon.ico", "/callback?state=forged", "/other?state=right"):
                    assert httpx.get(base + path, trust_env=False).status_code == 404
                httpx.get(f"{base}/callback?state=right&code=c", trust_env=False)

            in_background(knock)
            assert listener.wait("right", 30) == "/callback?state=right&code=c"

    def test_gives_up(self) -> None:
        with RedirectListener(ANY_PORT) as listener:
            assert listener.wait("state", 0.01) is None

    @pytest.mark.parametrize("path", ["", "/", "/back/here"])
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
    def test_listens_where_the_provider_knows_it(self, host: str, path: str) -> None:
        with RedirectListener(f"http://{host}{path}") as listener:
            uri = listener.redirect_uri
            assert re.fullmatch(rf"http://{re.escape(host)}:\d+{path}", uri)

            in_background(lambda: httpx.get(f"{uri}?state=right&code=c", trust_env=False))
            assert listener.wait("right", 30) == f"{path or '/'}?state=right&code=c"

    def test_fixed_port_is_used_and_must_be_free(self) -> None:
        with RedirectListener(ANY_PORT) as listener:
            taken = listener.redirect_uri
            with pytest.raises(StudbookError, match="nothing can listen"):
                RedirectListener(taken)
        with RedirectListener(taken) as listener:
            assert listener.redirect_uri == taken

    @pytest.mark.parametrize("uri", ["https://127.0.0.1/x", "http://login.example.com/callback"])
    def test_never_lets_the_code_leave_the_machine(self, uri: str) -> None:
        with pytest.raises(StudbookError, match="not on this machine"):
            RedirectListener(uri)


class TestPeculiarities:
    """What `access.yaml` says of a provider, the server tells, and the login does."""

    @pytest.mark.parametrize("parameter", ["resource", "audience", ""])
    def test_audience_is_asked_for_as_the_provider_knows_it(
        self, address: str, identity: Identity, parameter: str
    ) -> None:
        identity.providers[0].audience_parameter = parameter
        shown: list[str] = []

        made = login.with_browser(address, show=shown.append, open_browser=browser_of("ada"))

        asked = parse_qs(urlsplit(shown[0].splitlines()[1]).query)
        found = {name: asked[name] for name in ("resource", "audience") if name in asked}
        assert found == ({parameter: ["studbook"]} if parameter else {})
        assert login_provider.refresh(made).access_token != made.access_token

    def test_prompt_is_passed_on(self, address: str, identity: Identity) -> None:
        identity.providers[0].prompt = "consent"
        shown: list[str] = []

        with pytest.raises(Unauthenticated, match="Nobody logged in"):
            login.with_browser(
                address, show=shown.append, open_browser=lambda _url: True, patience_s=0.01
            )
        assert "prompt=consent" in shown[0]

    def test_id_tokens_are_sent_where_the_server_takes_those(
        self, address: str, identity: Identity
    ) -> None:
        identity.providers[0].id_tokens = True

        made = login.as_demo_person(address, "ada")

        # One of the development issuer, for the client that asked for it.
        assert claims_of(made.access_token)["aud"] == "studbook-cli"
        assert made.expires_at == claims_of(made.access_token)["exp"]

    def test_login_ends_with_its_id_token_where_no_other_comes(
        self, address: str, logins: StoredLogins
    ) -> None:
        made = replace(login.as_demo_person(address, "ada"), id_tokens=True)
        soon = time.time() + 30
        with logins.locked():
            logins.save(address, replace(made, expires_at=soon))

        # The development issuer gives none when a login is renewed.
        assert StoredLogin(address).token() == made.access_token
        with logins.locked():
            logins.save(address, replace(made, expires_at=time.time() - 1))
        with pytest.raises(Unauthenticated, match="has expired"):
            StoredLogin(address).token()

    def test_secret_of_a_program_on_peoples_machines_is_sent(
        self, address: str, identity: Identity
    ) -> None:
        with scripted_provider() as provider:
            identity.providers[0].issuer = provider.issuer
            identity.providers[0].client_secret = "no secret"
            grant = {"access_token": "a", "refresh_token": "r", "token_type": "Bearer"}
            provider.offer("authorization_endpoint", "/authorize", (200, ""))
            provider.offer("token_endpoint", "/token", (200, grant))
            provider.document["token_endpoint_auth_methods_supported"] = ["client_secret_post"]

            def browser(url: str) -> bool:
                asked = {key: texts[0] for key, texts in parse_qs(urlsplit(url).query).items()}
                back = (
                    f"{asked['redirect_uri']}?{urlencode({'code': 'c', 'state': asked['state']})}"
                )
                return in_background(lambda: httpx.get(back, trust_env=False))

            made = login.with_browser(address, show=lambda _text: None, open_browser=browser)
            login_provider.refresh(made)

        assert [fields["client_secret"] for _, fields in provider.asked] == ["no secret"] * 2


def claims_of(token: str) -> dict[str, object]:
    payload = token.split(".")[1]
    return dict(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))))


class TestDemoPerson:
    def test_needs_no_browser(self, address: str) -> None:
        made = login.as_demo_person(address, "ada")

        assert login.who_am_i(address, made.access_token).principal.display_name == "Ada"

    @pytest.mark.parametrize("name", ["nobody", "linus"])
    def test_unknown_or_with_password(self, address: str, name: str) -> None:
        with pytest.raises(Unauthenticated, match=name) as caught:
            login.as_demo_person(address, name)
        assert "studbook up" in caught.value.next_step

    def test_only_at_a_development_issuer(self, address: str, identity: Identity) -> None:
        identity.providers[0].development = False

        with pytest.raises(FailedPrecondition, match="no development issuer"):
            login.as_demo_person(address, "ada")


class TestProvider:
    def test_server_without_one(self, address: str, identity: Identity) -> None:
        identity.providers.clear()

        with pytest.raises(FailedPrecondition, match="no login provider"):
            login_provider.discover(address)

    def test_of_several_one_is_named(self, address: str, identity: Identity) -> None:
        identity.providers.append(LoginProvider(name="other", issuer="https://other.example"))

        with pytest.raises(FailedPrecondition, match="several") as caught:
            login_provider.discover(address)
        assert "dev, other" in caught.value.next_step
        assert login_provider.discover(address, "dev").name == "dev"
        with pytest.raises(FailedPrecondition, match="third"):
            login_provider.discover(address, "third")

    def test_issuer_must_be_the_one_that_answers(self, address: str, identity: Identity) -> None:
        identity.providers[0].issuer += "/"

        with pytest.raises(Unavailable, match="does not belong"):
            login_provider.discover(address)

    def test_plain_http_beyond_loopback_is_refused(self, address: str, identity: Identity) -> None:
        identity.providers[0].issuer = "http://login.example.com"

        with pytest.raises(StudbookError, match="not https"):
            login_provider.discover(address)

    def test_unreachable(self, address: str, identity: Identity) -> None:
        identity.providers[0].issuer = "http://127.0.0.1:9/people"

        with pytest.raises(Unavailable, match="cannot be reached"):
            login_provider.discover(address)


class TestKeeping:
    def test_login_is_kept_when_the_server_accepts_it(
        self, address: str, logins: StoredLogins
    ) -> None:
        made = login.as_demo_person(address, "ada")

        assert login.keep(address, made).principal.id == "user:dev:ada"
        assert logins.find(address) == made

    def test_refused_login_is_not_kept(self, address: str, logins: StoredLogins) -> None:
        with pytest.raises(Unauthenticated):
            login.keep(address, login.with_token(address, "made.up.token"))

        assert logins.find(address) is None
