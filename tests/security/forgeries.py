"""All tokens that must be refused, by what is wrong with each, and some that must not be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.security import algorithm_tricks, claim_tricks, header_tricks
from tests.security.forging import Forgery, FromNow
from tests.unit.gateway.loopback_issuer import AUDIENCE

if TYPE_CHECKING:
    from collections.abc import Mapping

_FAMILIES = {
    "algorithm": algorithm_tricks.TRICKS,
    "header": header_tricks.TRICKS,
    "claim": claim_tricks.TRICKS,
}
FORGERIES: Mapping[str, Forgery] = {
    f"{family}: {name}": forgery
    for family, tricks in _FAMILIES.items()
    for name, forgery in tricks.items()
}
GENUINE: Mapping[str, Forgery] = {
    "RS256": Forgery(),
    "ES256": Forgery(algorithm="ES256"),
    "typ JWT": Forgery({"typ": "JWT"}),
    "typ in full": Forgery({"typ": "application/at+jwt"}),
    "audience in a list": Forgery(claims={"aud": [AUDIENCE]}),
    "fractions of seconds": Forgery(claims={"exp": FromNow(200.5)}),
    "within leeway": Forgery(claims={"iat": FromNow(-300), "exp": FromNow(-30)}),
    "clock ahead": Forgery(claims={"iat": FromNow(30), "nbf": FromNow(30), "exp": FromNow(300)}),
    "azp alone": Forgery(claims={"azp": "studbook-cli", "client_id": None}),
    "unknown header": Forgery({"rh": "0.A"}),
}
