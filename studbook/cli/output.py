"""How the command line prints: tables for people, columns for pipes, JSON for programs.

Three forms, chosen in this order:

* `--json`: proto JSON of the messages of the contract. Field names are the camel-case names that
  proto JSON defines, every field is present, 64-bit integers are strings, times are RFC 3339 in
  UTC, NaN and infinities are the strings `NaN`, `Infinity` and `-Infinity`. A list command prints
  one array.
* a pipe or file: one line for each row, columns separated by tabs, no heading, no colour.
* a terminal: a table with headings. `NO_COLOR` turns colours off; `STUDBOOK_FORCE_TTY=1` asks for
  this form where the output is no terminal, and `COLUMNS` then says how wide it may be.

Results go to stdout, everything else (progress, notes, errors) to stderr. rich and protobuf are
imported where they are used, so that `--help` does not wait for them.
"""

from __future__ import annotations

import os
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from google.protobuf.message import Message
    from google.protobuf.timestamp_pb2 import Timestamp
    from rich.console import Console

    from studbook.parallel_transfers import Progress

# What stands in a table where there is no value.
MISSING = "-"

# What the last column, in which text is wrapped, is given at least, and for words in it at most.
_NARROWEST_LAST = 24
_LONGEST_WORD = 60

_FORCE_TTY = "STUDBOOK_FORCE_TTY"


def for_people() -> bool:
    """Whether stdout is read by a person rather than by a program."""
    return sys.stdout.isatty() or os.environ.get(_FORCE_TTY, "") not in {"", "0"}


def json_value(message: Message) -> dict[str, Any]:
    """The message as proto JSON defines it, with every field present."""
    from google.protobuf import json_format

    return json_format.MessageToDict(message, always_print_fields_with_no_presence=True)


def print_json(value: Message | Iterable[Message] | Mapping[str, Any]) -> None:
    """Print one message as an object, several as an array, a mapping as it is."""
    import json

    from google.protobuf.message import Message as AnyMessage

    plain: object
    if isinstance(value, AnyMessage):
        plain = json_value(value)
    elif isinstance(value, dict):
        plain = value
    else:
        plain = [json_value(message) for message in value if isinstance(message, AnyMessage)]
    sys.stdout.write(json.dumps(plain, indent=2, ensure_ascii=False) + "\n")


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print rows of text under headings, or separated by tabs when piped."""
    if not for_people():
        for row in rows:
            sys.stdout.write("\t".join(one_line(cell) for cell in row) + "\n")
        return
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in headings[:-1]:
        # A time or an id that is broken in two can be neither read nor copied.
        table.add_column(heading, no_wrap=True, overflow="fold")
    table.add_column(headings[-1], overflow="fold")
    lines = [[one_line(cell) for cell in row] for row in rows]
    for line in lines:
        table.add_row(*map(Text, line))
    if not lines:
        table.add_row(Text("(none)", "dim"))
    # Where the terminal is too narrow it is better for it to wrap lines than for us to cut ids.
    needed = sum(
        max(width(heading), *(width(line[index]) for line in lines), 0) + 2
        for index, heading in enumerate(headings[:-1])
    )
    words = [width(word) for line in lines for word in line[-1].split()]
    last = max(_NARROWEST_LAST, min(max(words, default=0), _LONGEST_WORD))
    _console(least_width=needed + last).print(table)


def print_fields(fields: Iterable[tuple[str, str]]) -> None:
    """Print labels and values one below the other; fields without a value are left out.

    Several lines under one label repeat it; people see it once.
    """
    present = [(label, value) for label, value in fields if value]
    if not for_people():
        for label, value in present:
            sys.stdout.write(f"{label}\t{one_line(value)}\n")
        return
    from rich.table import Table
    from rich.text import Text

    grid = Table.grid(padding=(0, 2, 0, 0))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for index, (label, value) in enumerate(present):
        repeated = index > 0 and present[index - 1][0] == label
        lines = "\n".join(map(one_line, value.splitlines()))
        grid.add_row("" if repeated else label, Text(lines))
    _console().print(grid)


def print_heading(text: str) -> None:
    """Print a heading above a part of the answer; a comment line when piped."""
    if for_people():
        from rich.text import Text

        _console().print(Text("\n" + text, style="bold"))
    else:
        sys.stdout.write(f"# {text}\n")


def print_lines(lines: Iterable[str]) -> None:
    """Print plain lines, e.g. the names that `-q` asks for."""
    for line in lines:
        sys.stdout.write(line + "\n")


def note(text: str) -> None:
    """Tell the person at the terminal something that is not part of the answer."""
    sys.stderr.write(text + "\n")


def format_time(time: Timestamp | None) -> str:
    """UTC in ISO 8601, to the microsecond where there are any; `-` when unset.

    Not rounded: what is printed can be given back with `--at`.
    """
    if time is None or (time.seconds == 0 and time.nanos == 0):
        return MISSING
    moment = datetime.fromtimestamp(time.seconds, UTC).replace(microsecond=time.nanos // 1000)
    return moment.isoformat().replace("+00:00", "Z")


def format_second(time: Timestamp | None) -> str:
    """The same cut to whole seconds, for tables in which the exact moment does not matter."""
    text = format_time(time)
    return text if text == MISSING else text[:19] + "Z"


def row_time(time: Timestamp | None) -> str:
    """A time in a row: whole seconds for people, who have little room, exact for programs."""
    return format_second(time) if for_people() else format_time(time)


def format_duration(seconds: float) -> str:
    """A length of time in its two largest units."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def format_number(value: float) -> str:
    """A metric's value: six significant digits, which is what can be compared by eye."""
    return f"{value:.6g}"


def format_bytes(size: int) -> str:
    """A size in binary units, e.g. `12.3 KiB`."""
    if size < 1024:
        return f"{size} B"
    scaled = float(size)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        scaled /= 1024
        if scaled < 1024:
            return f"{scaled:.1f} {unit}"
    return f"{scaled / 1024:.1f} PiB"


def short_digest(digest: str) -> str:
    """The digest's algorithm and first twelve digits, enough to tell two apart by eye."""
    algorithm, separator, digits = digest.partition(":")
    return f"{algorithm}{separator}{digits[:12]}" if separator else digest[:12]


@contextmanager
def progress_bar(description: str) -> Iterator[Progress]:
    """A bar on stderr while bytes move; nothing where stderr is no terminal.

    Yields:
        A function to be called with the number of bytes that are there and the number in all.
    """
    if not sys.stderr.isatty():
        yield _draw_nothing
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(description, total=None)

        def moved(done_bytes: int, total_bytes: int) -> None:
            bar.update(task, completed=done_bytes, total=total_bytes)

        yield moved


def _draw_nothing(done_bytes: int, total_bytes: int) -> None:
    pass


def _console(least_width: int = 0) -> Console:
    from rich.console import Console

    # Highlighting would colour digests and numbers at random.
    console = Console(
        highlight=False,
        force_terminal=True if for_people() else None,
        # Without colours means without any escape sequence, bold included.
        color_system=None if os.environ.get("NO_COLOR") else "auto",
    )
    width, height = console.size
    # Both, or a terminal that calls itself dumb keeps its 80 columns.
    console.size = max(width, least_width), height
    return console


def width(text: str) -> int:
    """How many cells of a terminal a text takes; Chinese characters, say, take two each."""
    from rich.cells import cell_len

    return cell_len(text)


def shortened(text: str, longest: int) -> str:
    """A line of text for people that takes no more cells, with a sign where it was cut."""
    from rich.cells import set_cell_size

    line = one_line(text)
    return line if width(line) <= longest else set_cell_size(line, longest - 1).rstrip() + "…"


def one_line(text: str) -> str:
    """The text without characters that would break a row or drive the terminal."""
    return "".join(
        " " if character in "\t\r\n" else character if character.isprintable() else "\ufffd"
        for character in text
    )
