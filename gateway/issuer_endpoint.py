"""An address of an issuer's at which it is asked about tokens, within bounds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import httpx
import structlog

from gateway.access_file import check_issuer_url
from gateway.issuer_client import IssuerClient
from gateway.key_set_fetch import KeySetError, fetch_discovery, read_object
from gateway.refusals import issuer_not_answering
from gateway.token_shape import MalformedTokenError
from gateway.waiting_room import WaitingRoom

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from gateway.access_rules import NamedIssuer
    from service_chassis.errors import StudbookError

_log = structlog.get_logger("studbook.issuers")
_TIMEOUT_S = 5.0
_LARGEST_ANSWER = 64 * 1024
_AT_A_TIME = 16


class IssuerEndpoint:
    """One address, with its connections.

    Args:
        issuer: Whose it is.
        name: What the discovery document calls it.
        url: The address, where the discovery document does not say.
    """

    def __init__(self, issuer: NamedIssuer, name: str, url: str = "") -> None:
        self.issuer = issuer
        self._name = name
        self._url = url
        self._http = IssuerClient(issuer.settings)
        self._places = asyncio.Semaphore(_AT_A_TIME)
        self._waiting = WaitingRoom(issuer.settings.url)

    async def ask(
        self,
        method: str,
        request: Callable[[], dict[str, Any]],
        unauthorized: StudbookError | None = None,
    ) -> Mapping[str, Any]:
        """The issuer's answer, a JSON object.

        Args:
            method: `GET` or `POST`.
            request: Makes what is sent, by the names of httpx.
            unauthorized: What the status 401 means; default: that the issuer does not answer.

        Raises:
            StudbookError: ISSUER_UNAVAILABLE; or `unauthorized`.
        """
        try:
            with self._waiting.place():
                async with asyncio.timeout(_TIMEOUT_S), self._places:
                    return await self._ask(method, request())
        except httpx.HTTPStatusError as error:
            if unauthorized is not None and error.response.status_code == httpx.codes.UNAUTHORIZED:
                raise unauthorized from None
            reason = f"status {error.response.status_code}"
        except (KeySetError, MalformedTokenError, httpx.HTTPError, OSError, ValueError) as error:
            reason = f"{type(error).__name__}: {error}"
        except TimeoutError:
            reason = f"no complete answer within {_TIMEOUT_S:g} s"
        _log.warning("issuer_not_answering", issuer=self.issuer.name, at=self._name, error=reason)
        raise issuer_not_answering(self.issuer.settings.url)

    async def _ask(self, method: str, request: dict[str, Any]) -> Mapping[str, Any]:
        headers = {"accept": "application/json", **request.pop("headers", {})}
        async with self._http.use() as http:
            if not self._url:
                self._url = await self._discovered(http)
            async with http.stream(method, self._url, headers=headers, **request) as answer:
                answer.raise_for_status()
                return await read_object(answer, _LARGEST_ANSWER)

    async def _discovered(self, http: httpx.AsyncClient) -> str:
        described = await fetch_discovery(http, self.issuer.settings.url)
        named = described.get(self._name)
        if not isinstance(named, str):
            message = f"the discovery document names no {self._name}"
            raise KeySetError(message)
        return check_issuer_url(named)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()
