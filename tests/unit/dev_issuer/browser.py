"""A browser, as far as the issuer's pages need one: cookies, forms, and a person who clicks."""

from __future__ import annotations

import re
from html import unescape
from typing import TYPE_CHECKING

import httpx

if TYPE_CHECKING:
    from typing import Self


class Browser:
    """Opens a page of the issuer and sends its forms back."""

    def __init__(self) -> None:
        self._http = httpx.Client(trust_env=False)
        self.page: httpx.Response | None = None

    def open(self, url: str) -> str:
        """Show a page; returns its text."""
        self.page = self._http.get(url)
        return self.text

    @property
    def text(self) -> str:
        assert self.page is not None
        return unescape(self.page.text)

    def submit(self, **fields: str) -> str:
        """Click a button of the page; returns the text of the next."""
        assert self.page is not None
        proof = re.search(r'name="proof" value="([0-9a-f]+)"', self.page.text)
        assert proof is not None, self.page.text
        form = {"proof": proof[1], **fields}
        self.page = self._http.post(str(self.page.url), data=form)
        return self.text

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()
