"""Values as short text: names made safe, numbers with as many digits as they deserve."""

import math
import re
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from aster_cli.plain import plain
from aster_cli.schema import MachineId, TimeKind

if TYPE_CHECKING:
    from aster_cli.results import SensorShare

NOTHING = "\N{EN DASH}"
"""Stands where there is no value."""


def shorten(text: str, width: int) -> str:
    """Cut the middle out of a name too long, since names often differ at their ends."""
    if cell_len(text) <= width:
        return text
    tail = (width - 1) // 2
    end = text[-tail:] if tail else ""
    while cell_len(end) > tail:
        end = end[1:]
    return f"{set_cell_size(text, width - 1 - cell_len(end)).rstrip()}…{end}"


def machine_name(machine: MachineId) -> str:
    """A machine's ids as one name."""
    return plain("/".join(machine)) or NOTHING


def count(n: int, noun: str = "", plural: str | None = None) -> str:
    """A number of things: ``1 row``, ``12,046 rows``."""
    if not noun:
        return f"{n:,}"
    return f"{n:,} {noun if n == 1 else plural or noun + 's'}"


def number(value: float | None, digits: int = 4) -> str:
    """A number with `digits` significant digits."""
    if value is None or math.isnan(value):
        return NOTHING
    if value == 0 or math.isinf(value):
        return f"{value:g}"
    magnitude = math.floor(math.log10(abs(value)))
    if not -4 <= magnitude <= 8:
        return f"{value:.{max(digits - 2, 0)}e}"
    return f"{value:,.{max(digits - 1 - magnitude, 0)}f}"


def alike(values: Sequence[float | None], spread: float | None) -> list[str]:
    """Numbers of one kind with the same decimals: as many as their spread makes worth reading."""
    known = [abs(value) for value in values if value is not None]
    largest = max(known, default=0.0)
    scale = spread or largest
    if not scale:
        return [number(value) for value in values]
    if largest >= 1e7 or largest < 1e-4:
        return [f"{value:.2e}" if value else number(value) for value in values]
    decimals = min(max(1 - math.floor(math.log10(scale)), 0), 6)
    return [NOTHING if value is None else f"{value:,.{decimals}f}" for value in values]


def share(value: float | None) -> str:
    """A share as a percentage; what is not nothing never reads as nothing, nor as all."""
    if value is None:
        return NOTHING
    if value == 0:
        return "0 %"
    if value == 1:
        return "100 %"
    if value < 0.0005:
        return "<0.1 %"
    if value > 0.9995:
        return ">99.9 %"
    return f"{100 * value:.1f} %" if value < 0.1 or value > 0.9 else f"{100 * value:.0f} %"


DIRECTIONS = {1: "above expected", -1: "below expected"}
"""On which side of what was expected a sensor mostly stood."""


def against_expected(part: "SensorShare") -> str:
    """Where a sensor stood: ``flow 38 % below``, ``heat 3.2 above``.

    A percentage stands where it makes sense: both values are positive, and they differ by one part in
    a hundred to threefold. Else the difference is in the sensor's own units.
    """
    return f"{shorten(plain(part.sensor), 28)} {departure(part)}"


def departure(part: "SensorShare") -> str:
    """The same without the sensor's name."""
    if not part.direction:
        return "as expected"
    side = "above" if part.direction > 0 else "below"
    difference = abs(part.actual - part.expected)
    makes_sense = part.expected > 0.0 <= part.actual
    if makes_sense and 0.01 <= difference / part.expected <= 2.0:
        return f"{100.0 * difference / part.expected:.0f} % {side}"
    return f"{number(difference, 3)} {side}"


_UNITS = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"))
_SMALL_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))


def duration(seconds: float | None) -> str:
    """A length of time in its two largest units: ``2 h 15 min``."""
    if seconds is None:
        return NOTHING
    if 0 < seconds < 1 or (seconds < 60 and abs(seconds - round(seconds)) > 1e-6):
        unit, name = next((u for u in _SMALL_UNITS if seconds >= u[0] * 0.9995), _SMALL_UNITS[-1])
        return f"{seconds / unit:.3g} {name}"
    left = round(seconds)
    # the smaller unit rounds, and may fill up the larger one
    for (unit, name), (smaller, small_name) in pairwise(_UNITS):
        if left >= unit - smaller / 2:
            whole, rest = divmod(round(left / smaller), round(unit / smaller))
            return f"{whole:,} {name}" + (f" {rest} {small_name}" if rest else "")
    return f"{left} s"


def length(value: float | None, *, in_seconds: bool, noun: str = "count") -> str:
    """A length on a log's clock: a duration, or a number of counts."""
    if value is None:
        return NOTHING
    if in_seconds:
        return duration(value)
    return f"{number(value) if value % 1 else count(round(value))} {noun}" + (
        "" if value == 1 else "s"
    )


def clock_noun(kind: TimeKind) -> str:
    """What a clock without a unit counts."""
    return "row" if kind == "row" else "count"


def moment(time: object) -> str:
    """A timestamp as text, without idle zeros and seconds."""
    text = re.sub(r"^(\d{4}-\d\d-\d\d)T", r"\1 ", plain(time))
    text = re.sub(r"(:\d\d\.\d*?)0+(?=\D|$)", r"\1", text).replace(".+", "+").removesuffix(".")
    return re.sub(r"(\d\d:\d\d):00(?=[^.\d]|$)", r"\1", text)


def until(start: str, end: str) -> str:
    """A stretch of time; what the end shares with the start is left out."""
    if start == end:
        return start
    same_day = len(start) > 11 and start[:11] == end[:11] and start[10] == " "
    return f"{start} {NOTHING} {end[11:] if same_day else end}"


def listed(names: Sequence[str], most: int) -> str:
    """The first names, and how many more there are."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown
