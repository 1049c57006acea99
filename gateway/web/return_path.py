"""Where to go after the login: a page of ours, and nowhere else."""

from __future__ import annotations

import re

HOME = "/account"
_LONGEST = 512
# What a browser could read in another way than we do has no place in it: backslashes, control
# characters, spaces, and whatever is not ASCII.
_PLAIN = re.compile(r"/[A-Za-z0-9_.~%!$&'()*+,;=:@/?-]*")
# Pages that make no sense, or loops, after a login.
_NEVER = ("/login", "/callback", "/logout", "/signed-out")


def own_path(text: str) -> str:
    """The text when it is a path of ours, with its query; the home page otherwise."""
    path = text.partition("?")[0]
    segments = path.split("/")[1:]
    if (
        len(text) > _LONGEST
        or not _PLAIN.fullmatch(text)
        # An empty first segment begins the name of another host; others are of no use either.
        or "" in segments[:-1]
        or any(segment in {".", ".."} for segment in segments)
        or any(path == page or path.startswith(f"{page}/") for page in _NEVER)
        or path == "/"
    ):
        return HOME
    return text
