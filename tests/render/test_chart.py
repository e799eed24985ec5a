"""A chart is a picture of the numbers: nothing in it is lost, and nothing is invented."""

import io

import msgspec
import numpy as np
import pytest
from rich.console import Console
from syrupy.assertion import SnapshotAssertion

from aster_cli.inspection import Course, Finding, Suspect
from aster_cli.render.chart import Chart
from aster_cli.render.sensors import sensor_charts
from aster_cli.results import FloatArray
from tests.render.conftest import Show
from tests.render.test_shown import SENSOR, log_of, same_at_all_widths


class Ascii(io.StringIO):
    """A stream without Braille."""

    encoding = "ascii"


def drawn(low: FloatArray, high: FloatArray, width: int = 80, *, ascii_only: bool = False) -> str:
    """The lines of a chart; a mark stands under the stretches that rise above 90."""
    stream = Ascii() if ascii_only else io.StringIO()
    console = Console(file=stream, width=width, color_system=None)
    console.print(Chart(low, high, "start", "end", {"^": high > 90}, height=6))
    return stream.getvalue()


def dots(text: str) -> int:
    return sum(
        (ord(letter) - 0x2800).bit_count() for letter in text if "\u2800" < letter <= "\u28ff"
    )


@pytest.mark.parametrize("width", [80, 200])
@pytest.mark.parametrize("place", [0, 311, 1023])
def test_a_single_spike_is_seen_at_its_place(place: int, width: int) -> None:
    """One row of a million must not vanish because a character stands for many."""
    flat = np.full(1024, 10.0)
    spiked = flat.copy()
    spiked[place] = 100.0
    lines = drawn(flat, spiked, width).splitlines()
    assert dots(lines[0]) > 0
    margin = len("100  ")
    (mark,) = (column for column, letter in enumerate(lines[6]) if letter == "^")
    assert abs(mark - margin - place / 1024 * (width - margin)) <= 1.0
    top = next(i for i, letter in enumerate(lines[0]) if i >= margin and dots(letter))
    assert abs(top - mark) <= 1
    assert max(map(len, lines)) <= width


def test_missing_stretches_are_blank() -> None:
    """A line through a hole would be invented."""
    values = np.full(100, 1.0)
    values[:50] = 2.0
    values[40:60] = np.nan
    lines = drawn(values, values).splitlines()
    margin = len("2.0  ")
    middle = margin + (80 - margin) // 2
    assert all(set(line[middle - 5 : middle + 5]) <= {" "} for line in lines[:6])


@pytest.mark.parametrize("ascii_only", [False, True])
def test_heights_are_those_of_the_values(ascii_only: bool) -> None:
    """A ramp rises from the lowest line to the highest, a column at a time."""
    ramp = np.arange(300.0)
    lines = drawn(ramp, ramp, ascii_only=ascii_only).splitlines()[:6]
    margin = len("299  ")
    first = [
        min(i for i, letter in enumerate(line) if i >= margin and letter != " ") for line in lines
    ]
    assert first == sorted(first, reverse=True)
    assert len(set(first)) == 6
    assert lines[0].startswith("299")
    assert lines[5].startswith("  0")
    assert "".join(lines).isascii() is ascii_only


def test_a_constant_or_empty_series_has_a_chart() -> None:
    """Dead sensors are what people look at."""
    assert dots(drawn(np.full(9, 5.0), np.full(9, 5.0))) > 0
    assert drawn(np.full(9, np.nan), np.full(9, np.nan)) == "no value in any row\n"


def test_sensors_of_two_machines(show: Show, snapshot: SnapshotAssertion) -> None:
    """Each machine by itself, with what is unlike the rest marked under it."""
    rows = np.arange(200)
    wave = (40 + 5 * np.sin(rows / 9) + 20 * ((rows > 90) & (rows < 97)))[:, None]
    times = tuple(f"2025-03-19 {row // 60:02}:{row % 60:02}:00" for row in rows)

    def course(machine: str, values: FloatArray) -> Course:
        gaps = rows == 150
        return Course((machine,), 1, values, values, values, times, times, gaps)

    suspect = Suspect(
        machine=("P1",),
        start=times[91],
        end=times[96],
        rows=6,
        sensors=(SENSOR.name,),
        times=4.0,
    )
    frozen = msgspec.structs.replace(
        SENSOR,
        longest_still=20,
        still_machine=("P2",),
        still_from=30,
        findings=(Finding("frozen", "stands at 40.1 for 20 rows until 2025-03-19 00:49 (P2)"),),
    )
    report = msgspec.structs.replace(log_of(frozen), suspects=(suspect,))
    shown = sensor_charts(report, [course("P1", wave), course("P2", wave[::-1])])
    same_at_all_widths(shown, show, snapshot)
