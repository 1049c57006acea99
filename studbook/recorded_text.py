"""Text of a user's data in a form that records and the contract can hold."""

from __future__ import annotations


def recorded_text(text: str, longest: int) -> str:
    """The text without lone surrogates and NUL, cut to so many characters."""
    whole = text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")
    return whole if len(whole) <= longest else whole[: longest - 3] + "..."
