"""Resume tokens: where a watch goes on. Sealed like page tokens, and they grant as little."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from registry_service.watch_feed import Cursor
from service_chassis.errors import StudbookError, invalid_field

if TYPE_CHECKING:
    from registry_service.watch_interest import Interest
    from service_chassis.page_tokens import PageTokens


def fingerprint(interest: Interest) -> str:
    """What a token is good for: a watch of the very same."""
    parts = (
        interest.workspace,
        interest.models,
        ",".join(sorted(stage.name for stage in interest.stages)),
        ",".join(sorted(interest.aliases)),
    )
    return "watch " + hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def seal_token(tokens: PageTokens, cursor: Cursor, arguments: str) -> str:
    """The token to go on from a cursor."""
    return tokens.seal((cursor.position, cursor.mark), arguments)


def open_token(tokens: PageTokens, token: str, arguments: str) -> Cursor:
    """The cursor that a token was made for.

    Raises:
        StudbookError: RESUME_TOKEN_INVALID.
    """
    try:
        position, mark = tokens.open(token, arguments)
    except StudbookError as error:
        raise invalid_field(
            "resume_token",
            token,
            "send that of the last message of a watch of the same parent, models, stages and "
            "aliases, or none to begin anew",
            reason="RESUME_TOKEN_INVALID",
        ) from error
    return Cursor(int(position or 0), str(mark))
