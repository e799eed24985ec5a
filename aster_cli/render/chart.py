"""A series as a chart of a few lines: Braille dots where the stream has them, ASCII where not."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from rich.console import Console, ConsoleOptions
from rich.text import Text

from aster_cli.render.layout import QUIET, WARNING, Rendered
from aster_cli.results import FloatArray
from aster_cli.wording import alike

_BRAILLE = 0x2800
_DOTS = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])  # by row and column
_ASCII = " .-:'!!|"  # by whether the lowest third, the middle and the highest have a dot


@dataclass(frozen=True, slots=True)
class Chart:
    """How a series goes, as the band from its lowest to its highest value: nothing vanishes in it.

    Attributes:
        low: ``(stretch,)`` NaN where there is no value.
        high: The same.
        start: What stands under the first stretch.
        end: What stands under the last one.
        marks: Stretches to point at, by the character that does; the first goes before the others.
        height: Lines of the band.
    """

    low: FloatArray
    high: FloatArray
    start: str
    end: str
    marks: dict[str, NDArray[np.bool_]]
    height: int = 10

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Rendered:
        """Draw it as wide as there is room."""
        known = np.isfinite(self.low) & np.isfinite(self.high)
        if not known.any():
            yield Text("no value in any row", style=QUIET)
            return
        bottom, top = float(self.low[known].min()), float(self.high[known].max())
        numbers = alike((top, bottom / 2 + top / 2, bottom), top - bottom or None)
        margin = max(map(len, numbers))
        width = max(options.max_width - margin - len("  "), 1)
        cells = _cells(self.low, self.high, bottom, top, width, self.height)
        spelled = _spell_ascii(cells) if options.ascii_only else _spell_braille(cells)
        labels = dict(zip((0, self.height // 2, self.height - 1), numbers, strict=True))
        for number, line in enumerate(spelled):
            label = labels.get(number, "").rjust(margin)
            yield Text.assemble((label, QUIET), "  ", line.rstrip() or "")
        row = np.full(width, " ")
        for mark, marked in reversed(self.marks.items()):
            row[_fitted(marked, width)] = mark
        if (row != " ").any():
            yield Text(" " * (margin + 2) + "".join(row).rstrip(), style=WARNING)
        ends = self.start + self.end.rjust(width - len(self.start))
        yield Text(" " * (margin + 2) + ends, style=QUIET, no_wrap=True, overflow="crop")


def _cells(
    low: FloatArray, high: FloatArray, bottom: float, top: float, width: int, height: int
) -> NDArray[np.bool_]:
    """Dots, ``(line, row, column, dot)``: four rows of two dots in each character."""
    columns, rows = 2 * width, 4 * height
    dots = np.zeros((rows, columns), dtype=bool)
    scale = (rows - 1) / (top - bottom) if top > bottom else 0.0
    before: tuple[int, int] | None = None
    for first, last, left, right in _places(len(low), columns):
        known: NDArray[np.bool_] = np.isfinite(low[first:last] + high[first:last])
        if not known.any():
            before = None
            continue
        start = int((low[first:last][known].min() - bottom) * scale)
        stop = int((high[first:last][known].max() - bottom) * scale)
        dots[start : stop + 1, left:right] = True
        if before is not None:  # the line goes on where one band does not touch the next
            dots[before[1] : start, left] = True
            dots[stop : before[0], left] = True
        before = (start, stop)
    upright: NDArray[np.bool_] = np.flip(dots, axis=0)
    return upright.reshape(height, 4, width, 2)


def _spell_braille(dots: NDArray[np.bool_]) -> list[str]:
    codes = _BRAILLE + np.einsum("hrwc,rc->hw", dots.astype(int), _DOTS)
    # the empty pattern is a blank; some fonts draw it as circles
    return ["".join(chr(code) if code != _BRAILLE else " " for code in line) for line in codes]


def _spell_ascii(dots: NDArray[np.bool_]) -> list[str]:
    rows: NDArray[np.int64] = np.max(dots, axis=3).astype(np.int64)
    kinds = rows[:, 3] * 1 + (rows[:, 1] | rows[:, 2]) * 2 + rows[:, 0] * 4
    return ["".join(_ASCII[kind] for kind in line) for line in kinds]


def _fitted(marked: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Whether any stretch in a character is marked."""
    dots = np.zeros(2 * width, dtype=bool)
    for first, last, left, right in _places(len(marked), 2 * width):
        dots[left:right] = marked[first:last].any()
    by_character: NDArray[np.bool_] = np.logical_or(dots[::2], dots[1::2])
    return by_character


def _places(stretches: int, columns: int) -> Iterator[tuple[int, int, int, int]]:
    """Stretches and the columns that they share: from, to, from, to."""
    n = min(columns, stretches)
    inner = np.linspace(0, stretches, n + 1).round().astype(int).tolist()
    outer = np.linspace(0, columns, n + 1).round().astype(int).tolist()
    for (first, last), (left, right) in zip(pairwise(inner), pairwise(outer), strict=True):
        yield first, last, left, right
