"""What can be done to people in their browsers, and is not: each trick with the answer it gets."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from tests.plain_browser import LOGIN, SESSION, query_of
from tests.security.visitor import Target, Visitor, has_session

if TYPE_CHECKING:
    from collections.abc import Callable

FORMS = ["/logout", "/account/sessions/end", "/account/sessions/end-all"]


class TestForgedForms:
    """A page elsewhere makes the person's browser send a form of ours."""

    @pytest.mark.parametrize("path", FORMS)
    @pytest.mark.parametrize("fields", [{}, {"session": "x"}, {"form_token": ""}])
    def test_without_a_token(self, ada: Visitor, path: str, fields: dict[str, str]) -> None:
        assert ada.refused_form(path, fields) == 403

    @pytest.mark.parametrize("path", FORMS)
    def test_with_the_token_of_somebody_elses_session(
        self, web: Target, ada: Visitor, path: str
    ) -> None:
        with web.visitor() as mallory:
            mallory.sign_in("grace")
            stolen = mallory.token()
        assert ada.refused_form(path, {"form_token": stolen}) == 403

    @pytest.mark.parametrize(
        ("trick", "headers"),
        [
            ("another origin", {"origin": "https://evil.example", "sec_fetch_site": "cross-site"}),
            ("another origin, no more", {"origin": "https://evil.example", "sec_fetch_site": ""}),
            ("a neighbouring host", {"sec_fetch_site": "same-site"}),
            ("a neighbouring port", {"origin": "http://127.0.0.1:1"}),
            ("an origin that begins alike", {"origin": "http://127.0.0.1.evil.example"}),
            ("https in place of http", {"origin": "https://127.0.0.1"}),
            ("origin null", {"origin": "null"}),
            ("no origin, cross-site", {"origin": "", "sec_fetch_site": "cross-site"}),
            ("a bookmark", {"origin": "", "sec_fetch_site": "none"}),
            ("no word of where it comes from", {"origin": "", "sec_fetch_site": ""}),
            ("plain text", {"content_type": "text/plain"}),
            ("JSON", {"content_type": "application/json"}),
            ("a file upload", {"content_type": "multipart/form-data; boundary=x"}),
        ],
    )  # fmt: skip
    def test_with_the_right_token_from(
        self, ada: Visitor, trick: str, headers: dict[str, str]
    ) -> None:
        assert ada.refused_form("/logout", {"form_token": ada.token()}, **headers) == 403, trick

    def test_with_a_field_twice(self, ada: Visitor) -> None:
        body = f"form_token=x&form_token={ada.token()}".encode()
        headers = {"origin": ada.origin, "content-type": "application/x-www-form-urlencoded"}
        assert ada.send("POST", "/logout", headers=headers, content=body).status_code == 403
        assert ada.who == "user:dev:ada"

    @pytest.mark.parametrize("path", FORMS)
    def test_as_a_link(self, ada: Visitor, path: str) -> None:
        answer = ada.get(f"{path}?form_token={ada.token()}", x_http_method_override="POST")
        assert answer.status_code == 405
        assert ada.who == "user:dev:ada"

    def test_is_recorded(self, web: Target, ada: Visitor) -> None:
        ada.form("/account/sessions/end-all", {"form_token": "made-up"})
        line = web.recorded(path="/account/sessions/end-all", check="form token")
        assert (line["security"], line["reason"]) == ("refused", "FORM_INVALID")
        assert line["principal"] == "user:dev:ada"


class TestLoginInto:
    """Somebody tries to have the person work in another one's account."""

    def test_answer_of_another_browsers_login(self, web: Target, visitor: Visitor) -> None:
        with web.visitor() as mallory:
            bait = mallory.answer_of_provider(mallory.begin(), "grace")
        assert visitor.get(bait).status_code == 400
        assert not has_session(visitor)
        assert web.recorded(reason="STATE_INVALID", check="no cookie")["security"] == "refused"

    def test_the_same_while_the_person_signs_in(self, web: Target, visitor: Visitor) -> None:
        own = visitor.begin()
        with web.visitor() as mallory:
            bait = mallory.answer_of_provider(mallory.begin(), "grace")
        assert visitor.get(bait).status_code == 400
        # And the person's own login goes on.
        assert visitor.get(visitor.answer_of_provider(own)).status_code == 303
        assert visitor.who == "user:dev:ada"

    def test_the_same_while_somebody_is_signed_in(self, web: Target, ada: Visitor) -> None:
        with web.visitor() as mallory:
            bait = mallory.answer_of_provider(mallory.begin(), "grace")
        assert ada.get(bait).status_code == 400
        assert ada.who == "user:dev:ada"

    @pytest.mark.parametrize("site", ["cross-site", "same-site"])
    def test_a_page_elsewhere_begins_no_login(self, visitor: Visitor, site: str) -> None:
        answer = visitor.get("/login/dev", **{"sec-fetch-site": site})
        assert (answer.status_code, answer.headers["location"]) == (303, "/login?next=%2Faccount")
        assert LOGIN not in visitor.cookies


class TestAnswers:
    """An answer of the provider is used again, changed, or made up."""

    def test_used_twice(self, web: Target, visitor: Visitor) -> None:
        url = visitor.begin()
        cookie, path = visitor.cookies[LOGIN], visitor.answer_of_provider(url)
        assert visitor.get(path).status_code == 303
        with web.visitor() as thief:
            thief.cookies[LOGIN] = cookie
            # The provider notices before we would have to.
            assert thief.get(path).status_code == 403
            assert not has_session(thief)

    def test_code_of_another_login(self, web: Target, visitor: Visitor) -> None:
        with web.visitor() as mallory:
            bait = query_of(mallory.answer_of_provider(mallory.begin(), "grace"))
        own = query_of(visitor.begin())
        path = f"/callback?code={bait['code']}&state={own['state']}&iss={bait['iss']}"
        assert visitor.get(path).status_code == 403
        assert not has_session(visitor)
        assert web.recorded(reason="PROVIDER_REFUSED")["provider"] == "dev"

    @pytest.mark.parametrize(
        "change",
        [
            lambda query, old: query.replace("state=", "estate="),
            lambda query, old: query.replace("state=", "state=x"),
            lambda query, old: f"{query}&state=x",
            lambda query, old: f"{query}&code=x",
            lambda query, old: query.replace(query_of(f"?{query}")["state"], old),
            lambda query, old: query.replace("iss=", "iss=https%3A%2F%2Fevil.example&was="),
            lambda query, old: query.replace("iss=", "was="),
        ],
        ids=[
            "no state", "another state", "state twice", "code twice", "state of an earlier login",
            "another issuer", "no issuer",
        ],
    )  # fmt: skip
    def test_changed(self, visitor: Visitor, change: Callable[[str, str], str]) -> None:
        earlier = query_of(visitor.begin())["state"]
        path, _, query = visitor.answer_of_provider(visitor.begin()).partition("?")
        assert visitor.get(f"{path}?{change(query, earlier)}").status_code == 400
        assert not has_session(visitor)

    def test_for_another_nonce(self, web: Target, visitor: Visitor) -> None:
        """Only the key makes this possible; without it the login's cookie cannot be changed."""
        opened = self.login_cookie(web, visitor)
        url = opened.pop("url")
        visitor.cookies[LOGIN] = web.sealed("login", int(time.time()), **opened, nonce="another")
        assert visitor.get(visitor.answer_of_provider(url)).status_code == 403
        assert web.recorded(reason="ID_TOKEN_INVALID")["check"].startswith("ID token: ")

    def test_for_another_verifier(self, web: Target, visitor: Visitor) -> None:
        opened = self.login_cookie(web, visitor)
        url, _ = opened.pop("url"), opened.pop("verifier")
        cookie = web.sealed("login", int(time.time()), **opened, nonce="n", verifier="v" * 43)
        visitor.cookies[LOGIN] = cookie
        assert visitor.get(visitor.answer_of_provider(url)).status_code == 403
        assert not has_session(visitor)

    def test_too_late(self, web: Target, visitor: Visitor) -> None:
        opened = self.login_cookie(web, visitor)
        url = opened.pop("url")
        visitor.cookies[LOGIN] = web.sealed("login", int(time.time()) - 601, **opened, nonce="n")
        assert visitor.get(visitor.answer_of_provider(url)).status_code == 400
        assert not has_session(visitor)

    @staticmethod
    def login_cookie(web: Target, visitor: Visitor) -> dict[str, str]:
        """What a login's cookie holds, but for its nonce, and where the browser was sent."""
        url = visitor.begin()
        content = json.loads(web.key.decrypt(visitor.cookies[LOGIN]))
        return {k: v for k, v in content.items() if k not in {"for", "nonce"}} | {"url": url}


class TestFixation:
    """The person is made to use a session that somebody else knows."""

    def test_a_planted_session_is_not_the_one_after_the_login(
        self, web: Target, visitor: Visitor
    ) -> None:
        with web.visitor() as mallory:
            mallory.sign_in("grace")
            planted = mallory.cookies[SESSION]
            visitor.cookies[SESSION] = planted
            visitor.sign_in("ada")
            assert visitor.cookies[SESSION] != planted
            assert mallory.who == ""
        assert visitor.who == "user:dev:ada"

    def test_a_made_up_session_is_none(self, visitor: Visitor) -> None:
        visitor.cookies[SESSION] = "chosen-by-mallory"
        assert visitor.get("/account").status_code == 303
        visitor.sign_in("ada")
        assert visitor.cookies[SESSION] != "chosen-by-mallory"

    def test_a_session_after_signing_out_is_none(self, visitor: Visitor) -> None:
        visitor.sign_in("max")
        kept = visitor.cookies[SESSION]
        assert visitor.form("/logout", {"form_token": visitor.token()}).status_code == 200
        visitor.cookies[SESSION] = kept
        assert visitor.get("/account").status_code == 303


@pytest.mark.parametrize(
    "where",
    [
        "//evil.example", "///evil.example", "/%5Cevil.example", "%5C%5Cevil.example",
        "/%09/evil.example", "%09//evil.example", "/%0A/evil.example", "https://evil.example",
        "https:evil.example", "javascript:alert(1)", "//evil.example%2F..", "/..//evil.example",
        "/%0d%0aset-cookie:a=b", "%20//evil.example", "/%EF%BC%8Fevil.example", "/%00",
        "/@/../..//x", "/logout", "/login?next=//evil.example",
    ],
)  # fmt: skip
def test_open_redirect(web: Target, ada: Visitor, where: str) -> None:
    answer = ada.get(f"/login?next={where}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/account")
    assert "set-cookie" not in answer.headers
    with web.visitor() as visitor:
        back = visitor.answer_of_provider(visitor.begin(f"/login/dev?next={where}"))
        assert visitor.get(back).headers["location"] == "/account"


class TestCookies:
    """A cookie is changed, doubled, or set from elsewhere."""

    @pytest.mark.parametrize("place", [0, 1, 9, 30, 100, -30, -4])
    def test_changed(self, ada: Visitor, place: int) -> None:
        value = ada.cookies[SESSION]
        other = "A" if value[place] != "A" else "B"
        end = value[place:][1:]
        ada.cookies[SESSION] = value[:place] + other + end
        assert ada.get("/account").status_code == 303

    def test_login_in_place_of_a_session(self, visitor: Visitor) -> None:
        visitor.begin()
        visitor.cookies[SESSION] = visitor.cookies[LOGIN]
        assert visitor.get("/account").status_code == 303

    def test_session_in_place_of_a_login(self, ada: Visitor) -> None:
        path = ada.answer_of_provider(ada.begin())
        ada.cookies[LOGIN] = ada.cookies[SESSION]
        assert ada.get(path).status_code == 400

    def test_two_of_one_name(self, web: Target, ada: Visitor) -> None:
        """As when a neighbouring host could set one, which the prefix forbids it."""
        with web.visitor() as mallory:
            mallory.sign_in("grace")
            both = f"{SESSION}={mallory.cookies[SESSION]}; {SESSION}={ada.cookies[SESSION]}"
        assert ada.get("/account", cookie=both).status_code == 303

    @pytest.mark.parametrize(
        "name", ["studbook-session", "__host-studbook-session", "__Secure-studbook-session"]
    )
    def test_a_name_that_a_neighbour_may_set(self, ada: Visitor, name: str) -> None:
        answer = ada.get("/account", cookie=f"{name}={ada.cookies[SESSION]}")
        assert answer.status_code == 303

    def test_what_keeps_them_from_neighbours_and_scripts(self, visitor: Visitor) -> None:
        visitor.sign_in("max")
        for name in (SESSION, LOGIN):
            assert name.startswith("__Host-")
            attributes = set(visitor.attributes[name])
            assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= attributes
            assert not any(one.lower().startswith("domain") for one in attributes)


def test_markup_in_a_question_is_text(ada: Visitor) -> None:
    trick = "%22%3E%3Cscript%3Ealert(1)%3C/script%3E"
    page = ada.get(f"/account?permission={trick}&resource={trick}")
    assert page.status_code == 200
    assert "<script" not in page.text


class TestRecord:
    """The security log says who came, went and was refused, and holds nothing that opens doors."""

    def test_login_and_logout(self, web: Target, visitor: Visitor) -> None:
        visitor.sign_in("rosa")
        line = web.recorded(security="login", subject="rosa")
        assert (line["issuer"], line["principal"]) == (web.issuer, "user:dev:rosa")
        visitor.form("/logout", {"form_token": visitor.token()})
        assert web.recorded(security="logout", subject="rosa")["issuer"] == web.issuer

    def test_no_secrets(self, web: Target, visitor: Visitor) -> None:
        path = visitor.answer_of_provider(visitor.begin())
        secrets = {visitor.cookies[LOGIN], *query_of(path).values()} - {web.issuer}
        visitor.get(path)
        secrets |= {visitor.cookies[SESSION], visitor.token()}
        visitor.form("/logout", {"form_token": visitor.token()})
        web.recorded(security="logout")
        log = web.log()
        assert not [secret for secret in secrets if secret in log]
        assert "eyJ" not in log
