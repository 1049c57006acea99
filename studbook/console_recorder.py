"""What is kept of what a program prints: text as a terminal shows it, without secrets."""

from __future__ import annotations

import codecs
import re
import threading
from typing import TYPE_CHECKING

from studbook.console_file import ConsoleFile
from studbook.redaction import without_secrets
from studbook.terminal_text import TerminalText

if TYPE_CHECKING:
    from pathlib import Path

_KEY_BEGINS = re.compile(r"-----BEGIN[ A-Z]*PRIVATE KEY-----")
_KEY_ENDS = re.compile(r"-----END[ A-Z]*PRIVATE KEY-----")
# Longer than any key: what follows is shown again, though no end was seen.
_LONGEST_KEY = 16 * 1024


class ConsoleRecorder:
    """Records into a folder; see `console_file`. Safe to use from several threads. Never raises.

    Args:
        folder: The folder.
        most_bytes: How much is kept.

    Raises:
        OSError: When the folder cannot be made.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._file = ConsoleFile(folder, most_bytes)
        self._text = TerminalText(self._keep)
        self._decoders: dict[int, codecs.IncrementalDecoder] = {}
        self._lock = threading.RLock()
        self._shown = ""
        self._closed = False
        self._key_remaining = 0

    def feed(self, data: bytes | str, stream: int = 0) -> None:
        """Take in what was printed to a stream; each stream's bytes are decoded on their own."""
        with self._lock:
            if self._closed:
                return
            if isinstance(data, bytes):
                if stream not in self._decoders:
                    self._decoders[stream] = codecs.getincrementaldecoder("utf-8")("replace")
                data = self._decoders[stream].decode(data)
            self._text.feed(data)

    def save(self) -> None:
        """Write down the lines that may still change, as they are now."""
        with self._lock:
            text = "".join(f"{line}\n" for line in self._text.reachable())
            if text == self._shown or self._closed:
                return
            self._shown = text
            shown, _ = _redacted(text, self._key_remaining)
            self._write_reachable(shown)

    def close(self) -> None:
        """Write down all that is left; nothing is taken in any more."""
        with self._lock:
            if not self._closed:
                self._text.close()
                self._write_reachable("")
                self._closed = True

    def _keep(self, lines: list[str]) -> None:
        text, self._key_remaining = _redacted("\n".join(lines) + "\n", self._key_remaining)
        try:
            self._file.append(text.encode(errors="replace"))
        except OSError:
            self._closed = True  # the disk is full; what the program prints is not affected

    def _write_reachable(self, text: str) -> None:
        try:
            self._file.show_reachable(text.encode(errors="replace"))
        except OSError:
            self._closed = True


def _redacted(text: str, key_remaining: int) -> tuple[str, int]:
    """Text without secrets.

    Args:
        text: Whole lines.
        key_remaining: Characters at most that still belong to a private key begun before.

    Returns:
        The text, and such a number for what follows it.
    """
    if key_remaining:
        end = _KEY_ENDS.search(text)
        if end is None and len(text) < key_remaining:
            return "", key_remaining - len(text)
        text = text[end.end() if end else key_remaining :].removeprefix("\n")
    begun = [key.end() for key in _KEY_BEGINS.finditer(text)]
    is_open = bool(begun) and not _KEY_ENDS.search(text, begun[-1])
    remaining = max(_LONGEST_KEY - (len(text) - begun[-1]), 0) if is_open else 0
    shown = without_secrets(text)
    return shown if shown.endswith("\n") or not shown else shown + "\n", remaining
