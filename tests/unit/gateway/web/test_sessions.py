"""Sessions last as long as they may, are the same at every replica, and end everywhere at once."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING

from cryptography.fernet import Fernet

from tests.plain_browser import SESSION
from tests.unit.gateway.loopback_issuer import rules_for
from tests.unit.gateway.running_gateway import BINDINGS
from tests.unit.gateway.web.served_pages import KEY, WEB, serving_pages, soon

if TYPE_CHECKING:
    from pathlib import Path

    from tests.plain_browser import PlainBrowser
    from tests.unit.gateway.web.served_pages import LoginIssuer, Pages


def rows(folder: Path) -> list[dict[str, str]]:
    with closing(sqlite3.connect(folder / "web.sqlite")) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute("SELECT * FROM web_sessions")]


def change(folder: Path, what: str) -> None:
    with closing(sqlite3.connect(folder / "web.sqlite")) as database, database:
        database.execute(f"UPDATE web_sessions SET {what}")  # noqa: S608 - ours


def is_in(browser: PlainBrowser) -> bool:
    return browser.get("/account").status_code == 200


def at(pages: Pages, browser: PlainBrowser) -> PlainBrowser:
    """The same browser at another replica."""
    other = pages.browser()
    other.cookies = browser.cookies
    return other


def test_every_replica_knows_a_session_and_its_end(pages: Pages, login_issuer: LoginIssuer) -> None:
    with serving_pages(login_issuer, pages.folder, origin=pages.origin) as replica:
        browser = pages.signed_in()
        assert is_in(at(replica, browser))

        browser.form("/logout", {"form_token": browser.token()})
        stolen = replica.browser()
        stolen.cookies = {SESSION: browser.cookies.get(SESSION, "")}
        assert not is_in(stolen)


def test_what_is_kept_gives_nothing_away(pages: Pages, login_issuer: LoginIssuer) -> None:
    login_issuer.refresh = "refresh-secret"
    browser, other = pages.signed_in(), pages.signed_in()
    kept = str(rows(pages.folder))

    assert "refresh-secret" not in kept
    assert "eyJ" not in kept
    assert browser.cookies[SESSION] not in kept
    # A row moved to another session opens nothing there.
    change(pages.folder, f"sealed_tokens = '{rows(pages.folder)[0]['sealed_tokens']}'")
    assert sorted([is_in(browser), is_in(other)]) == [False, True]


def test_token_that_ends_is_renewed_once(pages: Pages, login_issuer: LoginIssuer) -> None:
    login_issuer.refresh, login_issuer.access = "r1", {"exp": soon(20)}
    browser = pages.signed_in()
    login_issuer.refresh, login_issuer.access = "r2", {}
    with serving_pages(login_issuer, pages.folder, origin=pages.origin) as replica:
        visitors = [at(one, browser) for one in (pages, replica) * 4]
        with ThreadPoolExecutor(len(visitors)) as threads:
            assert all(threads.map(is_in, visitors))
    renewals = login_issuer.asked("refresh_token")

    assert [form["refresh_token"] for form in renewals] == ["r1"]
    assert is_in(browser)
    change(pages.folder, "token_ends_s = 0")
    assert is_in(browser)
    assert [form["refresh_token"] for form in login_issuer.asked("refresh_token")] == ["r1", "r2"]


def test_those_who_come_while_it_is_renewed_wait(pages: Pages, login_issuer: LoginIssuer) -> None:
    login_issuer.refresh = "r1"
    browser = pages.signed_in()
    # As after a night: the token has ended, so there is nothing to go on with meanwhile.
    change(pages.folder, "token_ends_s = 0")
    visitors = [at(pages, browser) for _ in range(6)]
    with ThreadPoolExecutor(len(visitors)) as threads:
        assert all(threads.map(is_in, visitors))

    assert len(login_issuer.asked("refresh_token")) == 1


def test_session_ends_when_the_provider_has_ended_the_login(
    pages: Pages, login_issuer: LoginIssuer
) -> None:
    login_issuer.refresh = "r1"
    browser = pages.signed_in()
    change(pages.folder, "token_ends_s = 0")
    login_issuer.refusal = "invalid_grant"
    assert not is_in(browser)

    login_issuer.refusal = ""
    assert not is_in(browser)
    assert rows(pages.folder)[0]["sealed_tokens"] == ""


def test_provider_that_is_down_ends_nothing(pages: Pages, login_issuer: LoginIssuer) -> None:
    login_issuer.refresh = "r1"
    browser = pages.signed_in()
    change(pages.folder, f"token_ends_s = {soon(10)}")
    token_endpoint = login_issuer.discovery["token_endpoint"]
    login_issuer.discovery["token_endpoint"] = "http://127.0.0.1:9/token"
    with serving_pages(login_issuer, pages.folder, origin=pages.origin) as replica:
        # The token is still good, so it goes on; when it is not, the person is told to wait.
        assert is_in(at(replica, browser))
        change(pages.folder, "token_ends_s = 0")
        assert at(replica, browser).get("/account").status_code == 503
    login_issuer.discovery["token_endpoint"] = token_endpoint
    assert is_in(browser)


def test_without_a_refresh_token_it_ends_with_the_token(
    pages: Pages, login_issuer: LoginIssuer
) -> None:
    browser = pages.signed_in()
    pages.clock.ahead_s = 350
    assert is_in(browser)
    # Good for 300 seconds, and the minute by which clocks may differ.
    pages.clock.ahead_s = 361
    assert not is_in(browser)
    assert login_issuer.asked("refresh_token") == []


def test_it_ends_at_its_own_limit(pages: Pages) -> None:
    browser = pages.signed_in()
    change(pages.folder, f"ends_s = {soon(-1)}")
    assert not is_in(browser)


def test_it_ends_when_the_person_is_revoked(pages: Pages, login_issuer: LoginIssuer) -> None:
    browser = pages.signed_in()
    revoked = BINDINGS + "\nrevoked:\n  principals:\n    - principal: user:dev:ada\n"
    pages.rules.current = rules_for(login_issuer.url, more=WEB, rest=revoked)
    assert not is_in(browser)

    # For good: lifting the revocation does not bring it back.
    pages.rules.current = rules_for(login_issuer.url, more=WEB, rest=BINDINGS)
    assert not is_in(browser)


def test_rules_are_those_in_force(pages: Pages, login_issuer: LoginIssuer) -> None:
    browser = pages.signed_in()
    pages.rules.current = rules_for(login_issuer.url, more=WEB)
    assert "No binding gives you a role" in browser.get("/account").text


def test_keys_change_without_signing_people_out(pages: Pages, login_issuer: LoginIssuer) -> None:
    browser = pages.signed_in()
    new = Fernet.generate_key().decode()
    both, only_new = f"{new}\n{KEY}\n", f"{new}\n"
    with serving_pages(login_issuer, pages.folder, origin=pages.origin, keys=both) as replica:
        assert is_in(at(replica, browser))
    with serving_pages(login_issuer, pages.folder, origin=pages.origin, keys=only_new) as replica:
        assert not is_in(at(replica, browser))


def test_signing_out_ends_the_login_at_the_provider(
    pages: Pages, login_issuer: LoginIssuer
) -> None:
    login_issuer.refresh = "r1"
    browser = pages.signed_in()
    answer = browser.form("/logout", {"form_token": browser.token()})

    assert SESSION not in browser.cookies
    assert ("revoke", "r1") in [(kind, form.get("token")) for kind, form in login_issuer.forms]
    assert f"0; url={login_issuer.url}/logout?client_id=studbook-web&amp;" in answer.text
    assert "id_token_hint=" in answer.text


def test_one_session_or_all_can_be_ended_from_any_other(pages: Pages) -> None:
    first, second, third = (pages.signed_in() for _ in range(3))
    page = first.get("/account").text
    assert page.count('name="session" value="') == 3

    others = [row["digest"] for row in rows(pages.folder) if row["digest"] in page]
    own_first = page.index("this one")
    mine = page[own_first:].partition('name="session" value="')[2].partition('"')[0]
    other = next(digest for digest in others if digest != mine)
    answer = first.form("/account/sessions/end", {"form_token": first.token(), "session": other})
    assert answer.headers["location"] == "/account#sessions"
    assert is_in(first)
    assert sorted([is_in(second), is_in(third)]) == [False, True]

    answer = first.form("/account/sessions/end-all", {"form_token": first.token()})
    assert "2 sessions ended" in answer.text
    assert not any(is_in(browser) for browser in (first, second, third))


def test_nobody_ends_somebody_elses_session(pages: Pages, login_issuer: LoginIssuer) -> None:
    ada = pages.signed_in()
    login_issuer.access = login_issuer.identity = {"sub": "grace"}
    grace = pages.signed_in()
    digests = [row["digest"] for row in rows(pages.folder) if row["principal"] == "user:dev:ada"]

    fields = {"form_token": grace.token(), "session": digests[0]}
    grace.form("/account/sessions/end", fields)
    grace.form("/account/sessions/end-all", {"form_token": grace.token()})
    assert is_in(ada)
    assert not is_in(grace)


def test_a_new_login_ends_the_one_before_in_this_browser(pages: Pages) -> None:
    browser = pages.signed_in()
    before = browser.cookies[SESSION]
    pages.finish(browser, pages.begin(browser))

    assert is_in(browser)
    browser.cookies[SESSION] = before
    assert not is_in(browser)
