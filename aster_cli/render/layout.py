"""The few shapes that everything shown is made of, and the few styles.

Colours are the terminal's own and never say anything that text does not say too. Nothing here
leaves blanks at the end of a line.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.segment import Segment
from rich.text import Text

from aster_cli.wording import shorten

WIDE = 110
"""Columns from which tables show everything."""

LEAST_NAME = 10
"""Columns to which a name is shortened, at the most, that others go beside."""

HEADING = "bold"
QUIET = "dim"
WARNING = "yellow"

INDENT = 2
_GAP = "  "

Cell = str | Text
Fact = tuple[str, Cell | None]
Rendered = Iterator[RenderableType | Segment]


@dataclass(frozen=True, slots=True)
class ByWidth:
    """Something that is built for the width that it is shown at."""

    build: Callable[[int], RenderableType]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Rendered:
        """Build it."""
        yield self.build(options.max_width)


@dataclass(frozen=True, slots=True)
class Indented:
    """Something, moved to the right."""

    body: RenderableType

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Rendered:
        """Show each line after blanks."""
        inner = options.update_width(max(options.max_width - INDENT, 1))
        for line in console.render_lines(self.body, inner, pad=False):
            yield Segment(" " * INDENT)
            yield from line
            yield Segment.line()


@dataclass(frozen=True, slots=True)
class Facts:
    """Names and their values, one pair a line; long values go on below themselves."""

    pairs: Sequence[Fact]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Rendered:
        """Show the pairs that have a value."""
        known = [(name, text(value)) for name, value in self.pairs if value is not None]
        widest = max((len(name) for name, _ in known), default=0)
        room = max(options.max_width - widest - len(_GAP), 1)
        for name, value in known:
            for number, line in enumerate(_wrapped(value, console, room)):
                label = "" if number else name
                yield Text.assemble((label.ljust(widest), QUIET), _GAP, line)


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Text over as many lines as it needs."""

    text: Cell

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Rendered:
        """Wrap it."""
        yield from _wrapped(text(self.text), console, options.max_width)


@dataclass(frozen=True, slots=True)
class Command:
    """A command that can be pasted into a shell: over several lines, a flag and its value stay together."""

    words: tuple[str, ...]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Rendered:
        """Break it before a word that has no room."""
        parts: list[str] = []
        for word in self.words:
            is_value = bool(parts) and parts[-1].startswith("--") and not word.startswith("-")
            parts = [*parts[:-1], f"{parts[-1]} {word}"] if is_value else [*parts, word]
        lines = parts[:1]
        for part in parts[1:]:
            longer = f"{lines[-1]} {part}"
            if cell_len(longer) + 2 > options.max_width:
                lines += [f"  {part}"]
            else:
                lines[-1] = longer
        for number, line in enumerate(lines, start=1):
            yield from _wrapped(
                Text(f"{line} \\" if number < len(lines) else line), console, options.max_width
            )


def _wrapped(value: Text, console: Console, width: int) -> Iterator[Text]:
    for line in value.wrap(console, width, overflow="fold"):
        line.rstrip()
        yield line


@dataclass(frozen=True, slots=True)
class Column:
    """A table's column.

    Attributes:
        title: It may have several lines.
        align: Where its cells stand.
        style: Of its cells.
        least: Columns of the screen to which long cells are shortened where there is no room; None: never.
    """

    title: str
    align: Literal["left", "right"] = "left"
    style: str = ""
    least: int | None = None


def title(name: str, about: str = "") -> Text:
    """What this is, and quietly more about it."""
    return Text.assemble((name, HEADING), (_GAP + about if about else "", QUIET))


def head(name: str, facts: Sequence[Fact], about: str = "") -> Group:
    """The first lines: what this is, and the facts."""
    return Group(title(name, about), Indented(Facts(facts)))


def section(heading: str, *body: RenderableType, about: str = "") -> Group:
    """A heading over what belongs to it, after an empty line."""
    return Group("", title(heading, about), *map(Indented, body))


def table(columns: Sequence[Column], rows: Iterable[Sequence[Cell]]) -> ByWidth:
    """A table without rules: a quiet head, and one line a row, cut at the screen's edge."""
    cells = list(rows)
    return ByWidth(lambda width: Group(*table_lines(columns, cells, width)))


def table_lines(
    columns: Sequence[Column], rows: Iterable[Sequence[Cell]], room: int | None = None
) -> Iterator[Text]:
    """The lines of a table: those of its head, then one a row.

    Args:
        columns: From left to right.
        rows: A cell for each column.
        room: Columns of the screen; None: as many as it takes.
    """
    titles = [column.title.split("\n")[::-1] for column in columns]
    heads = [
        [Text(cell, style=QUIET) for cell in line] for line in zip_longest(*titles, fillvalue="")
    ]
    body = [[text(cell).copy() for cell in row] for row in rows]
    cells = [*heads[::-1], *body]
    widths = [max(row[place].cell_len for row in cells) for place in range(len(columns))]
    for place, column in enumerate(columns):
        if room is None or column.least is None:
            continue
        over = sum(widths) + len(_GAP) * (len(widths) - 1) - room
        widths[place] = max(widths[place] - max(over, 0), min(widths[place], column.least))
        for row in cells:
            row[place].plain = shorten(row[place].plain, widths[place])
    for row in cells:
        line = Text(no_wrap=True, overflow="ellipsis")
        for cell, column, width in zip(row, columns, widths, strict=True):
            blank = " " * (width - cell.cell_len)
            styled = Text.assemble(cell, style=column.style)
            parts = (blank, styled) if column.align == "right" else (styled, blank)
            line.append_text(Text.assemble(*parts, _GAP))
        line.rstrip()
        yield line


def text(cell: Cell) -> Text:
    """A cell as it is; nothing in it is markup."""
    return cell if isinstance(cell, Text) else Text(cell)
