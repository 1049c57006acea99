"""Fetching an issuer's key set: discovery document first, then the JWKS it points to."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import httpx

from gateway.access_file import check_issuer_url
from gateway.issuer_files import LARGEST_KEY_SET
from gateway.token_shape import MalformedTokenError, parse_object

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT_S = 5.0
_LARGEST_DISCOVERY = 64 * 1024


class KeySetError(Exception):
    """The key set cannot be had; the message says why, for the log."""


async def fetch_key_set(http: httpx.AsyncClient, issuer_url: str) -> Mapping[str, Any]:
    """The issuer's JWKS, as it is published.

    Args:
        http: Client to fetch with.
        issuer_url: The issuer as configured. The discovery document must name exactly it.

    Raises:
        KeySetError: Either document cannot be fetched within bounds, or is not what it must be.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            discovery = await _discovery(http, issuer_url)
            return await _get(http, _keys_url(discovery, issuer_url), LARGEST_KEY_SET)
    except TimeoutError:
        message = f"no complete answer within {_TIMEOUT_S:g} s"
        raise KeySetError(message) from None


async def fetch_discovery(http: httpx.AsyncClient, issuer_url: str) -> Mapping[str, Any]:
    """What an issuer says about itself; it names exactly this issuer.

    Raises:
        KeySetError: It cannot be fetched within bounds, or is not what it must be.
    """
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            return await _discovery(http, issuer_url)
    except TimeoutError:
        message = f"no complete answer within {_TIMEOUT_S:g} s"
        raise KeySetError(message) from None


async def _discovery(http: httpx.AsyncClient, issuer_url: str) -> Mapping[str, Any]:
    url = issuer_url.removesuffix("/") + "/.well-known/openid-configuration"
    discovery = await _get(http, url, _LARGEST_DISCOVERY)
    if discovery.get("issuer") != issuer_url:
        message = f"the discovery document names the issuer {discovery.get('issuer')!r:.200}"
        raise KeySetError(message)
    return discovery


def _keys_url(discovery: Mapping[str, Any], issuer_url: str) -> str:
    url = discovery.get("jwks_uri")
    try:
        checked = check_issuer_url(str(url).partition("?")[0])
    except ValueError as error:
        message = f"jwks_uri {url!r:.200} {error}"
        raise KeySetError(message) from None
    if urlsplit(checked).scheme != urlsplit(issuer_url).scheme:
        message = f"jwks_uri {url!r:.200} has another scheme than the issuer"
        raise KeySetError(message)
    return str(url)


async def read_object(response: httpx.Response, largest: int) -> dict[str, Any]:
    """The JSON object that an issuer answers with.

    Raises:
        KeySetError: It has more bytes than it may.
        MalformedTokenError: It is no JSON object.
    """
    data = bytearray()
    async for chunk in response.aiter_bytes():
        data += chunk
        if len(data) > largest:
            message = f"{response.url} answered with more than {largest} bytes"
            raise KeySetError(message)
    return parse_object(bytes(data))


async def _get(http: httpx.AsyncClient, url: str, largest: int) -> dict[str, Any]:
    try:
        async with http.stream("GET", url) as response:
            if response.status_code != httpx.codes.OK:
                message = f"{url} answered {response.status_code}"
                raise KeySetError(message)
            return await read_object(response, largest)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        message = f"{url}: {type(error).__name__} {error}"
        raise KeySetError(message) from error
    except MalformedTokenError as error:
        message = f"{url} is {error}"
        raise KeySetError(message) from error
