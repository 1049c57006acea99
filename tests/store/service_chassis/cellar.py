"""The rows, tables and fields that the filter and list tests work on."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

import sqlalchemy as sa

from service_chassis.listing import Field, FieldTable, Kind, Lookup
from service_chassis.sql_text import ByteOrderedText

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA = sa.MetaData()
BOTTLES = sa.Table(
    "bottles",
    METADATA,
    sa.Column("uid", ByteOrderedText, primary_key=True),
    sa.Column("label", ByteOrderedText),
    sa.Column("year", sa.BigInteger),
    sa.Column("score", sa.Double),
    sa.Column("open", sa.Boolean),
    sa.Column("filled", sa.BigInteger, nullable=False),
    sa.Column("state", sa.Integer, nullable=False),
)
TAGS = sa.Table(
    "tags",
    METADATA,
    sa.Column("uid", sa.Text, primary_key=True),
    sa.Column("key", sa.Text, primary_key=True),
    sa.Column("value", ByteOrderedText, nullable=False),
    sa.Column("number", sa.Double),
)

STATES = MappingProxyType(
    {"BOTTLE_STATE_UNSPECIFIED": 0, "BOTTLE_STATE_RESTING": 1, "BOTTLE_STATE_SOLD": 2}
)


@dataclass(frozen=True)
class Bottle:
    uid: str
    label: str | None
    year: int | None
    score: float | None
    open: bool | None
    filled: int
    state: int
    tags: Mapping[str, str | float]


LABELS = (None, "", "a", "A", "ab", "aB%", "_b", "é*", "😀a", 'it\'s "x" \\')
YEARS = (None, -1, 0, 7, 2**62)
SCORES = (None, -1.5, 0.0, 1e-3, float("inf"))
FILLED = (0, 1_767_225_600_000_000, 1_767_225_600_000_001)
TAG_VALUES = (None, "", "a", "ab", "7", 7.0, 0.25)


def bottles() -> list[Bottle]:
    """Rows in which every value comes up, in mixed company."""
    columns = zip(
        itertools.cycle(LABELS),
        itertools.cycle(YEARS),
        itertools.cycle(SCORES[::-1] + SCORES[:2]),
        itertools.cycle((None, True, False)),
        itertools.cycle(FILLED),
        itertools.cycle((0, 1, 2, 1)),
        itertools.cycle(TAG_VALUES),
        itertools.cycle((*TAG_VALUES, None, None)),
        strict=False,
    )
    return [
        Bottle(
            f"u{index:03}",
            label,
            year,
            score,
            is_open,
            filled,
            state,
            {key: tag for key, tag in (("team", team), ("x/y", other)) if tag is not None},
        )
        for index, (label, year, score, is_open, filled, state, team, other) in enumerate(
            itertools.islice(columns, 120)
        )
    ]


def insert(connection: sa.Connection, rows: list[Bottle]) -> None:
    for row in rows:
        values = {column.name: getattr(row, column.name) for column in BOTTLES.columns}
        connection.execute(BOTTLES.insert().values(values))
        for key, tag in row.tags.items():
            number = tag if isinstance(tag, float) else None
            connection.execute(
                TAGS.insert().values(uid=row.uid, key=key, value=str(tag), number=number)
            )


def _tag(path: tuple[str, ...]) -> Field | None:
    if len(path) != 2 or path[0] not in {"tags", "indexed"}:
        return None
    rows = TAGS.alias()
    same = sa.and_(rows.c.uid == BOTTLES.c.uid, rows.c.key == path[1])
    lookup = Lookup(
        rows.c.value,
        rows,
        rows.c.uid,
        BOTTLES.c.uid,
        rows.c.key == path[1],
        number=rows.c.number,
        scoped=True,
        indexed=True,
        ordered=True,
    )
    return Field(
        sa.select(rows.c.value).where(same).correlate(BOTTLES).scalar_subquery(),
        Kind.VALUE,
        number=sa.select(rows.c.number).where(same).correlate(BOTTLES).scalar_subquery(),
        lookup=lookup if path[0] == "indexed" else None,
    )


def _reversed(text: str) -> str:
    if not text:
        message = "a text to turn round"
        raise ValueError(message)
    return text[::-1]


FIELDS = FieldTable(
    {
        "uid": Field(BOTTLES.c.uid, Kind.TEXT),
        "label": Field(BOTTLES.c.label, Kind.TEXT),
        "year": Field(BOTTLES.c.year, Kind.INTEGER),
        "score": Field(BOTTLES.c.score, Kind.NUMBER),
        "open": Field(BOTTLES.c.open, Kind.BOOLEAN),
        "fill_time": Field(BOTTLES.c.filled, Kind.TIMESTAMP),
        "state": Field(BOTTLES.c.state, Kind.ENUM, values=STATES),
        "label.reversed": Field(BOTTLES.c.label, Kind.TEXT, encode=_reversed),
    },
    _tag,
    forms=("tags.{key}",),
)
