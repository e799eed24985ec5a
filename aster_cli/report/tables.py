"""Tables of text: what a page shows as it is, and what stands in for a chart."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Column:
    """A column's title, and whether it holds numbers."""

    name: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table of text cells."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[Sequence[str], ...]


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A table; titles of columns that hold numbers start with ``#``."""
    named = tuple(Column(name.removeprefix("#"), name.startswith("#")) for name in columns)
    return Table(title, named, tuple(rows))
