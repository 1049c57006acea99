"""Text in access rules that reads as one thing and is another."""

from __future__ import annotations

import re
import unicodedata

# Their letters look like one another's.
_ALIKE = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "FULLWIDTH"})


def check_clear(text: str) -> str:
    """The text itself, when it is what a reader sees.

    Raises:
        ValueError: It has characters that cannot be seen, or a word has letters of several scripts
            that look alike.
    """
    if not text.isprintable() or text != text.strip():
        message = "has characters that cannot be seen; write it anew instead of copying it"
        raise ValueError(message)
    for word in re.findall(r"[^\W\d_]+", text):
        if not word.isascii() and len(scripts := _scripts(word)) > 1:
            message = (
                f'has letters of several scripts in "{word}" ({", ".join(sorted(scripts))}) that '
                "look alike; write it anew instead of copying it"
            )
            raise ValueError(message)
    return text


def _scripts(word: str) -> set[str]:
    return {unicodedata.name(letter, "").partition(" ")[0].title() for letter in word} & {
        script.title() for script in _ALIKE
    }
