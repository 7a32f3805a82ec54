"""Writing to the terminal: tables, numbers, JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

_WIDE = 120


def console(*, stderr: bool = False) -> Console:
    """A console as wide as the terminal; where there is none, wide enough for tables."""
    stream = sys.stderr if stderr else sys.stdout
    made = Console(file=stream, highlight=False, emoji=False)
    if not made.is_terminal:
        made = Console(file=stream, highlight=False, emoji=False, width=_WIDE)
    return made


def print_json(content: Any) -> None:
    """Print one JSON value on stdout."""
    say(json.dumps(content, ensure_ascii=False, indent=2))


def say(line: str = "") -> None:
    """Print a line on stdout, as it is."""
    sys.stdout.write(f"{line}\n")


def table(title: str, headings: Sequence[str], rows: Sequence[Sequence[object]], *, numbers: int = 0) -> Table:
    """A table; its last `numbers` columns are right-aligned. Numbers get thousands separators."""
    made = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, heading in enumerate(headings):
        is_number = place >= len(headings) - numbers
        made.add_column(heading, justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        made.add_row(*(escape(text(cell)) for cell in row))
    return made


def text(cell: object) -> str:
    """A cell of a table."""
    match cell:
        case None:
            return ""
        case bool():
            return "yes" if cell else "no"
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:,.3f}".rstrip("0").rstrip(".")
        case _:
            return str(cell)


def duration(seconds: float) -> str:
    """Seconds as people say them."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s"


def size(number: float) -> str:
    """Bytes in MB or GB of 10^6 or 10^9."""
    return f"{number / 1e9:,.1f} GB" if number >= 1e9 else f"{number / 1e6:,.1f} MB"
