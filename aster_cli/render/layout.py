"""The few shapes that everything shown is made of, and the few styles.

Colours are the terminal's own and never say anything that text does not say too.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

WIDE = 120
"""Columns from which tables show everything."""

HEADING = "bold"
QUIET = "dim"
WARNING = "yellow"

Cell = str | Text


@dataclass(frozen=True, slots=True)
class ByWidth:
    """Something that is built for the width that it is shown at."""

    build: Callable[[int], RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Build it."""
        yield self.build(options.max_width)

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        """Take all the width there is."""
        return Measurement(options.max_width, options.max_width)


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column."""

    title: str
    align: Literal["left", "right"] = "left"
    style: str = ""


def title(name: str, about: str = "") -> Text:
    """The first line: what this is."""
    return Text.assemble((name, HEADING), (f"  {about}" if about else "", QUIET))


def section(heading: str, *body: RenderableType, about: str = "") -> Group:
    """A heading over what belongs to it, after an empty line."""
    return Group("", title(heading, about), *(Padding(part, (0, 0, 0, 2), expand=False) for part in body))


def facts(pairs: Iterable[tuple[str, Cell | None]]) -> RenderableType:
    """Names and values, one pair a line; pairs without a value are left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style=QUIET, no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs:
        if value is not None:
            grid.add_row(Text(name), text(value))
    return Padding(grid, (0, 0, 0, 2), expand=False)


def table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> Table:
    """A table without lines: a quiet head, numbers to the right, one line a row."""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style=QUIET)
    for column in columns:
        made.add_column(
            Text(column.title), justify=column.align, style=column.style, no_wrap=True
        )
    for row in rows:
        made.add_row(*(text(cell) for cell in row))
    return made


def text(cell: Cell) -> Text:
    """A cell as it is; nothing in it is markup."""
    return cell if isinstance(cell, Text) else Text(cell)


def listed(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
