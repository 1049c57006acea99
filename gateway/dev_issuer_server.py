"""The embedded development issuer, served by the gateway's process, and kept from doing harm."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from gateway.access_checks import AccessFileError
from gateway.dev_issuer.app import create_app
from gateway.http_server import HttpServer

if TYPE_CHECKING:
    from gateway.access_rules import AccessRules
    from gateway.dev_issuer.config import DevIssuerConfig


class DevIssuerServer(HttpServer):
    """Serves the development issuer on loopback.

    Args:
        config: The issuer's configuration.
    """

    def __init__(self, config: DevIssuerConfig) -> None:
        self._urls = {config.issuer} | ({config.ci.issuer} if config.ci else set())
        # Its configuration admits loopback addresses only.
        address = urlsplit(config.issuer)
        super().__init__(
            create_app(config),
            "The development issuer",
            address.hostname or "127.0.0.1",
            address.port or 80,
        )

    def check(self, rules: AccessRules) -> None:
        """Refuse rules that trust a real issuer beside this one.

        Raises:
            AccessFileError: They do.
        """
        foreign = sorted(set(rules.issuers) - self._urls)
        if foreign:
            message = (
                f"the development issuer is on, so {', '.join(foreign)} cannot be an issuer as "
                "well: unset STUDBOOK_GATEWAY_DEV_ISSUER, or remove the other issuers from the "
                "access file"
            )
            raise AccessFileError(message)
