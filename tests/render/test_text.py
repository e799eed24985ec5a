"""Text is safe on any terminal, and numbers say neither more nor less than they should."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from aster_cli.plain import plain
from aster_cli.results import SensorShare
from aster_cli.wording import (
    against_expected,
    alike,
    count,
    duration,
    length,
    moment,
    number,
    share,
    shorten,
    until,
)


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("two\nlines\tand\rmore", "two\\nlines\\tand\\rmore"),
        ("\x9b2J", "\\x9b2J"),
        ("abc\u202egpj", "abc\\u202egpj"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("[bold]brackets[/bold]", "[bold]brackets[/bold]"),
        ("Größe in °C · 温度", "Größe in °C · 温度"),
    ],
)
def test_control_characters_are_spelled_out(raw: str, safe: str) -> None:
    """A column name must not be able to recolour, move or reverse what a terminal shows."""
    assert plain(raw) == safe


@given(st.text())
def test_plain_text_has_no_control_characters(raw: str) -> None:
    """Whatever a cell holds, one line of visible characters comes out."""
    assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in plain(raw))


@given(st.text(alphabet="ab温é", min_size=0, max_size=60), st.integers(2, 40))
def test_a_shortened_name_fits(name: str, width: int) -> None:
    """Tables are laid out by these widths; wide characters count double."""
    assert cell_len(shorten(name, width)) <= max(width, 1)
    if cell_len(name) <= width:
        assert shorten(name, width) == name


def test_a_shortened_name_keeps_both_ends() -> None:
    """Names of one plant often differ at the end only."""
    assert shorten("station_7_pump_2_bearing_temperature", 20) == "station_7_…mperature"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (3.5e-9, "3.5 ns"),
        (0.25, "250 ms"),
        (1.5, "1.5 s"),
        (45.0, "45 s"),
        (59.9999999, "1 min"),
        (60.0, "1 min"),
        (8100.0, "2 h 15 min"),
        (3599.6, "1 h"),
        (86399.0, "1 d"),
        (9 * 86400.0 + 3 * 3600 + 1, "9 d 3 h"),
        (1000 * 86400.0, "1,000 d"),
        (None, "–"),  # noqa: RUF001
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    """Two units, rounded, without an overflowing smaller one such as 1 h 60 min."""
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1.000"),
        (12046.0, "12,046"),
        (0.0012345, "0.001234"),
        (-3.14159, "-3.142"),
        (1.5e12, "1.50e+12"),
        (2e-7, "2.00e-07"),
        (None, "–"),  # noqa: RUF001
    ],
)
def test_numbers(value: float | None, text: str) -> None:
    """Four significant digits, and no endless zeros."""
    assert number(value) == text


def test_numbers_of_one_sensor_have_the_same_decimals() -> None:
    """Minimum and maximum are to be compared at sight."""
    assert alike((1180.0, 1320.66, 1433.0), 60.7) == ["1,180", "1,321", "1,433"]
    assert alike((0.244, 0.28491, None), 0.0167) == ["0.244", "0.285", "–"]  # noqa: RUF001


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0 %"),
        (1e-6, "<0.1 %"),
        (0.005, "0.5 %"),
        (0.42, "42 %"),
        (0.99999, ">99.9 %"),
        (1.0, "100 %"),
    ],
)
def test_shares_never_round_to_nothing_or_all(value: float, text: str) -> None:
    """One missing cell among millions is not none."""
    assert share(value) == text


def test_lengths_on_clocks_without_a_unit() -> None:
    """A counter has no seconds."""
    assert length(1.0, in_seconds=False) == "1 count"
    assert length(23_693.0, in_seconds=False, noun="row") == "23,693 rows"
    assert length(0.5, in_seconds=False) == "0.5000 counts"
    assert length(90.0, in_seconds=True) == "1 min 30 s"


@pytest.mark.parametrize(
    ("time", "text"),
    [
        ("2025-03-19 00:00:00", "2025-03-19 00:00"),
        ("2025-03-19 00:00:07", "2025-03-19 00:00:07"),
        ("2025-03-19 08:05:00.250000", "2025-03-19 08:05:00.25"),
        ("2025-03-19 08:05:07.000000", "2025-03-19 08:05:07"),
        ("2025-03-19T08:05:00+00:00", "2025-03-19 08:05+00:00"),
        ("2025-03-19 08:05:07.500000+02:00", "2025-03-19 08:05:07.5+02:00"),
        ("2025-03-19", "2025-03-19"),
        (1200, "1200"),
        (0.5, "0.5"),
    ],
)
def test_moments(time: object, text: str) -> None:
    """What is left out is zero."""
    assert moment(time) == text


def test_a_stretch_of_time_names_a_shared_day_once() -> None:
    """Most events end on the day on which they start."""
    assert until("2025-03-19 08:05", "2025-03-19 10:20") == "2025-03-19 08:05 – 10:20"  # noqa: RUF001
    assert until("2025-03-19", "2025-03-20") == "2025-03-19 – 2025-03-20"  # noqa: RUF001
    assert until("1200", "1200") == "1200"


def test_counts() -> None:
    """One is not many."""
    assert count(1, "row") == "1 row"
    assert count(12_046, "row") == "12,046 rows"


@pytest.mark.parametrize(
    ("direction", "actual", "expected", "shown"),
    [
        (-1, 6.2, 10.0, "flow 38 % below"),
        (1, 30.0, 10.0, "flow 200 % above"),
        (1, 31.0, 10.0, "flow 21.0 above"),
        (1, 101.35, 101.3, "flow 0.0500 above"),
        (-1, -0.31, 0.2, "flow 0.510 below"),
        (-1, 0.0, 4.0, "flow 100 % below"),
        (1, 0.7, 0.0, "flow 0.700 above"),
        (-1, -12.0, -8.0, "flow 4.00 below"),
        (0, 3.0, 3.0, "flow as expected"),
    ],
)
def test_a_percentage_stands_only_where_it_makes_sense(
    direction: int, actual: float, expected: float, shown: str
) -> None:
    """Twice as far below zero is no percentage, and 0.05 bar of 101 is no 0 %."""
    assert against_expected(SensorShare("flow", 1.0, direction, actual, expected)) == shown
