"""A browser made by hand: it keeps cookies and sends what it is told to, good or bad."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import httpx

from tests.patience import PATIENCE_S

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

SESSION = "__Host-studbook-session"
LOGIN = "__Host-studbook-login"


def query_of(url: str) -> dict[str, str]:
    """The parameters in a URL."""
    return dict(parse_qsl(urlsplit(url).query))


@dataclass
class PlainBrowser:
    """One person's browser at one address.

    Attributes:
        origin: Scheme and host in the address line.
        address: Where that leads to, if elsewhere.
        cookies: What it has, by name.
        attributes: What came with each of them.
    """

    origin: str
    address: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    attributes: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._http = httpx.Client(
            base_url=self.address or self.origin, trust_env=False, timeout=PATIENCE_S
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.close()

    def send(
        self,
        method: str,
        path: str,
        *,
        headers: dict[str, str] | None = None,
        data: dict[str, str] | None = None,
        content: bytes | None = None,
    ) -> httpx.Response:
        """Send a request, with the cookies unless `headers` say otherwise."""
        sent = {"host": urlsplit(self.origin).netloc}
        if self.cookies:
            sent["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent |= headers or {}
        answer = self._http.request(
            method, path, headers=sent, data=data, content=content, follow_redirects=False
        )
        for header in answer.headers.get_list("set-cookie"):
            self._keep(header)
        return answer

    def _keep(self, header: str) -> None:
        pair, *attributes = header.split("; ")
        name, _, value = pair.partition("=")
        self.attributes[name] = sorted(attributes)
        if "Max-Age=0" in attributes:
            self.cookies.pop(name, None)
        else:
            self.cookies[name] = value

    def get(self, path: str, **headers: str) -> httpx.Response:
        """Follow a link or open a bookmark."""
        return self.send("GET", path, headers=headers)

    def form(self, path: str, fields: dict[str, str], **changes: str) -> httpx.Response:
        """Send a form of a page, as browsers do; headers can be changed, or dropped with ""."""
        said = {"origin": self.origin, "sec_fetch_site": "same-origin", **changes}
        headers = {name.replace("_", "-"): value for name, value in said.items() if value}
        return self.send("POST", path, headers=headers, data=fields)

    def token(self) -> str:
        """The token in the forms of the account page."""
        page = self.get("/account")
        assert page.status_code == 200, page.headers.get("location")
        return page.text.partition('name="form_token" value="')[2].partition('"')[0]
