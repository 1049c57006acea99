"""Logs as JSON lines on standard error."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import orjson
import structlog

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor


def configure_logging(component: str, level: int = logging.INFO) -> None:
    """Send structured logs, one JSON object a line, to standard error."""
    structlog.configure(
        # A line for each call is a good part of what a call costs: as few steps as there can be.
        processors=[
            _of(component),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(serializer=_json),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )


class _Lines(structlog.BytesLogger):
    """Writes lines while there is room: no call fails because the disk of the log is full."""

    def msg(self, message: bytes) -> None:
        """Write a line, or lose it."""
        with suppress(OSError):
            super().msg(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg


def _json(line: EventDict, **options: Any) -> bytes:
    """In ASCII: what callers say may hold letters that change how a terminal shows the rest."""
    with suppress(TypeError):
        written = orjson.dumps(line, **options)
        if written.isascii():
            return written
    return json.dumps(line, **options).encode()


def _of(component: str) -> Processor:
    def add(_logger: object, _level: str, line: EventDict) -> EventDict:
        line["component"] = component
        return line

    return add
