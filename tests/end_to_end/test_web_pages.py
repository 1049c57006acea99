"""Signing in, looking around and signing out in a real browser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.plain_browser import SESSION

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

    from local_stack.stack import LocalStack

# The pages are the same in both forms of a stack, and in one a browser is started.
pytestmark = pytest.mark.parametrize("stack", ["together"], indirect=True)

# Navigates as a page of somebody else would, with the person's cookies.
_SEND_FORM = """url => {
  const form = document.createElement("form");
  form.method = "post";
  form.action = url;
  document.body.append(form);
  form.submit();
}"""

_LENGTHEN = """more => {
  for (const one of document.querySelectorAll("h1, code, dd, .who")) {
    one.textContent += more;
  }
}"""


def sign_in(page: Page, stack: LocalStack, person: str = "Ada") -> None:
    """From a page that asks for it, to that page."""
    page.goto(f"{stack.addresses.web}/account?permission=models.read&resource=workspaces/main")
    page.get_by_role("link", name="Sign in with dev").click()
    page.get_by_role("button", name=person).click()
    page.get_by_role("heading", name=person, exact=True).wait_for()


def test_signing_in_and_out(page: Page, stack: LocalStack) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text))
    sign_in(page, stack)

    # Where one wanted to go, with the answer to what one asked.
    assert page.url.startswith(f"{stack.addresses.web}/account?permission=models.read")
    assert page.get_by_role("status").inner_text().startswith("Allowed: group:dev:data-science")
    kept = {cookie["name"]: cookie for cookie in page.context.cookies()}[SESSION]
    assert kept["secure"]
    assert kept["httpOnly"]
    assert kept["sameSite"] == "Lax"

    page.get_by_label("Permission").select_option("models.promote")
    page.get_by_label("On", exact=True).fill("workspaces/main/models/wine-cultivar")
    page.get_by_role("button", name="Ask").click()
    assert "Roles that contain it: releaser, admin" in page.get_by_role("status").inner_text()

    page.get_by_role("banner").get_by_role("button", name="Sign out").click()
    # Through the provider, whose session ends as well, and back.
    page.wait_for_url(re.compile(r"/signed-out$"))
    assert "You are signed out" in page.get_by_role("main").inner_text()
    page.goto(f"{stack.addresses.web}/account")
    assert page.url.startswith(f"{stack.addresses.web}/login")
    assert complaints == []


@pytest.mark.parametrize("width", [390, 1280])
def test_a_page_fits_its_window_however_long_a_name_is(
    page: Page, stack: LocalStack, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 800})
    sign_in(page, stack)
    page.evaluate(_LENGTHEN, "x" * 200)

    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.get_by_role("banner").get_by_role("button", name="Sign out").is_visible()


def test_signing_out_everywhere(page: Page, browser: Browser, stack: LocalStack) -> None:
    sign_in(page, stack, "Rosa")
    elsewhere = browser.new_context()
    other = elsewhere.new_page()
    sign_in(other, stack, "Rosa")
    page.reload()
    assert page.get_by_role("row").filter(has_text="Chrome on").count() == 2

    page.get_by_role("button", name="Sign out everywhere").click()
    page.wait_for_url(re.compile(r"/signed-out$"))
    other.reload()
    assert other.url.startswith(f"{stack.addresses.web}/login")
    elsewhere.close()


@pytest.mark.parametrize("path", ["/logout", "/account/sessions/end-all"])
def test_a_form_of_another_page_changes_nothing(page: Page, stack: LocalStack, path: str) -> None:
    sign_in(page, stack, "Max")
    page.goto(f"{stack.addresses.people_issuer}/.well-known/openid-configuration")
    with page.expect_navigation() as navigation:
        page.evaluate(_SEND_FORM, f"{stack.addresses.web}{path}")

    assert navigation.value is not None
    assert navigation.value.status == 403
    page.goto(f"{stack.addresses.web}/account")
    page.get_by_role("heading", name="Max", exact=True).wait_for()
