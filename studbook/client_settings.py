"""Limits of what a run records and how it is sent, from the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class ClientSettings:
    """Each can be set with the variable `STUDBOOK_` and its name in capitals.

    Attributes:
        points_per_batch: Most metric points sent in one call; the server takes at most 100 000.
        segment_bytes: How long a record file gets before the next one is begun; those that the
            server has all of are removed while the run goes on.
        heartbeat_interval_s: Seconds without anything sent after which a run says that it lives.
        table_rows: Most rows kept of a logged table; the rest is left out.
        image_pixels: Most pixels of a logged image; larger ones are made smaller.
        media_bytes: Most bytes of one logged image, table or histogram; larger ones are left out.
    """

    points_per_batch: int = 100_000
    segment_bytes: int = 16 * 1024 * 1024
    heartbeat_interval_s: int = 30
    table_rows: int = 10_000
    image_pixels: int = 4096 * 4096
    media_bytes: int = 64 * 1024 * 1024

    @classmethod
    def from_environment(cls) -> Self:
        """The settings of this process; one that is no positive whole number is as if not set."""
        chosen = {}
        for name in cls.__dataclass_fields__:
            text = os.environ.get(f"STUDBOOK_{name.upper()}", "")
            if text.isascii() and text.isdigit() and int(text) > 0:
                chosen[name] = int(text)
        return cls(**chosen)
