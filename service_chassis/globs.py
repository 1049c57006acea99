"""Patterns with `*`, as regular expressions that take no longer than the text is long."""

from __future__ import annotations

import re


def glob_expression(pattern: str, separators: str) -> str:
    """The expression for a pattern in which `*` stands for any characters but the separators.

    What follows a `*` is looked for at the first place where it stands, and never again further on:
    what lies between two such places, the next `*` can take as well. An expression that tried them
    all would take hours over a pattern with some stars and a text made for it.
    """
    first, *others = pattern.split("*")
    if not others:
        return re.escape(first)
    *middle, last = others
    any_of = f"[^{re.escape(separators)}]*"
    sought = "".join(f"(?>{any_of}?{re.escape(part)})" for part in middle if part)
    return f"{re.escape(first)}{sought}{any_of}{re.escape(last)}"
